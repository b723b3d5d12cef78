"""Who has an account here, and whether they administer. For administrators, and never about themselves."""

from django.db import transaction

from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects.services.rights import require_administrator


@transaction.atomic
def change(person: User, *, by: User, is_active: bool | None = None, is_administrator: bool | None = None) -> User:
    """Close or open the account of ``person``, or let them administer or not any more. What is not given stays.

    A closed account is out at once, by whatever way it came in. Raises NotAllowed, InvalidInput for one's own account.
    """
    require_administrator(by)
    if person.pk == by.pk:
        raise InvalidInput("Another administrator has to change your own account.")
    person = User.objects.select_for_update().get(pk=person.pk)
    given = {"is_active": is_active, "is_superuser": is_administrator, "is_staff": is_administrator}
    changed = {name: value for name, value in given.items() if value is not None and getattr(person, name) != value}
    for name, value in changed.items():
        setattr(person, name, value)
    if changed:
        person.save(update_fields=list(changed))
        audit.record(by, "people.change", f"core.user:{person.pk}", changed)
    return person
