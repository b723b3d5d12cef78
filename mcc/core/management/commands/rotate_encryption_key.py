from django.core.management.base import BaseCommand, CommandError

from mcc.core import rekeying


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret with the first of MCC_ENCRYPTION_KEYS. Put the new key before the old ones, "
        "restart everything, run this, then take the old ones away. It can be broken off and run again."
    )

    def handle(self, **options: object) -> None:
        done = rekeying.rekey()
        self.stdout.write(f"{done.secrets} secrets are stored; {done.changed} were encrypted anew.")
        if done.unreadable:
            raise CommandError(
                f"No key that is set decrypts {', '.join(done.unreadable)}. They stay as they are: "
                "add their key to MCC_ENCRYPTION_KEYS and run this again, or enter the secrets anew."
            )
