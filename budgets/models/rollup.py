"""What pages ask of the book, added up beforehand. The postings are the truth; this is how they look from afar."""

from django.db import models

from budgets.models.account import Account
from budgets.models.ledger import Posting, Usage


class Calendar(models.Model):
    """The time zone in which the days below are days; no row: UTC. One row, changed with all of them at once."""

    zone = models.CharField(max_length=100, help_text="IANA name")
    since = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.zone


class DaySum(models.Model):
    """What postings of one account and one day have in common, and what they come to. Days are those of the holds, in
    the zone of the Calendar.
    """

    # Their constraints have indexes that begin with the account.
    account = models.ForeignKey(Account, models.PROTECT, db_index=False, related_name="+")
    day = models.DateField()
    model = models.CharField(max_length=200, help_text="the model that answered")
    provider = models.CharField(
        max_length=100, blank=True, help_text="who answered; behind a broker, who runs the model"
    )
    model_asked = models.CharField(max_length=200, help_text="the model that was asked for")
    endpoint = models.CharField(max_length=100, blank=True, help_text="name of the provider that was called")
    source = models.CharField(max_length=10, choices=Usage.Source.choices)
    amount_nanousd = models.BigIntegerField(default=0)
    generations = models.PositiveBigIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)

    class Meta:
        abstract = True


class DaySpend(DaySum):
    """What one account paid on one day for one model, by who answered, what was asked of which endpoint, and who said
    what it cost, as far as it is folded in.
    """

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "day", "model", "provider", "source", "model_asked", "endpoint"],
                name="day_spend_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.day} {self.model}"


class TotalSpend(models.Model):
    """What one account ever paid, as far as it is folded in: the sum of its days, whatever their zone."""

    account = models.OneToOneField(Account, models.PROTECT, primary_key=True, related_name="total_spend")
    amount_nanousd = models.BigIntegerField(default=0)
    generations = models.PositiveBigIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["-amount_nanousd"], name="total_spend_dearest")]

    def __str__(self) -> str:
        return f"{self.account} {self.amount_nanousd}"


class Unfolded(models.Model):
    """A posting that no DaySpend holds yet. Written with the posting, deleted by the fold: so each counts once.

    It repeats what readers need of the posting: joined to the millions of others it would be read with them.
    """

    # No constraints: postings and accounts are never deleted, and every charge would pay for the look-ups.
    posting = models.OneToOneField(Posting, models.CASCADE, primary_key=True, db_constraint=False, related_name="+")
    account = models.ForeignKey(Account, models.PROTECT, db_constraint=False, db_index=False, related_name="+")
    day = models.DateField()
    amount_nanousd = models.BigIntegerField()
