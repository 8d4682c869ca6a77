"""Who is asking: the person behind a token, as every room needs it. A value; reads nothing."""

from dataclasses import dataclass, field

from models.enums import Role


@dataclass(frozen=True, slots=True)
class Viewer:
    """One signed-in user. `scopes` are what the token was given beyond a user's own rights."""

    user_id: int
    team_id: int
    role: Role
    scopes: frozenset[str] = field(default=frozenset())

    @property
    def admin(self) -> bool:
        return self.role is Role.ADMIN
