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

    def sees_mail_of(self, team_id: int, sender_id: int) -> bool:
        """Whether a sender's emails, and what hangs on them, are the viewer's to see: `Email.visible` for one row."""
        return team_id == self.team_id and (self.admin or sender_id == self.user_id)
