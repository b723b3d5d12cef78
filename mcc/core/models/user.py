from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person who may log in. What they may see of a project is their membership's business."""

    @property
    def name(self) -> str:
        return self.get_full_name() or self.username

    @property
    def initials(self) -> str:
        words = self.name.split()
        return "".join(word[0] for word in words[:2]).upper() if len(words) > 1 else self.name[:2].upper()
