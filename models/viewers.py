"""Defines the viewer: the user on whose behalf a request runs.

It is a value and reads no table.
"""

from dataclasses import dataclass, field

from models.enums import Role


@dataclass(frozen=True, slots=True)
class Viewer:
    """One signed-in user. `scopes` are rights of the token beyond those of the user."""

    user_id: int
    team_id: int
    role: Role
    scopes: frozenset[str] = field(default=frozenset())

    @property
    def admin(self) -> bool:
        return self.role is Role.ADMIN

    def sees_mail_of(self, team_id: int, sender_id: int) -> bool:
        """Return whether the viewer may see a sender's emails and their events.

        This evaluates the condition of `Email.visible` for one row.
        """
        return team_id == self.team_id and (self.admin or sender_id == self.user_id)
