"""What the explorer says of usages against the usages themselves, for random filters on random histories."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agents.models import Agent, Charge, Conversation, Message, Outcome, Run
from budgets import periods, queries
from budgets.models import Posting, Usage
from budgets.queries import Totals
from budgets.services import accounts, ledger, rollups
from budgets.summed import Asked
from budgets.tests.factories import make_bill, make_hold, spend
from budgets.tests.rollback import rolled_back
from mcc.core.errors import InvalidInput
from mcc.core.money import nanousd, usd_string
from projects import usage, usage_csv, usage_lines
from projects.models import Membership
from projects.tests import factories
from projects.usage_filter import UsageFilter, UsageFilterForm

pytestmark = pytest.mark.django_db

START = datetime(2031, 3, 10, 12, tzinfo=UTC)
MODELS, PROVIDERS, ENDPOINTS = ("acme/large", "acme/small"), ("acme", "other"), ("broker", "ours", "")


class Company:
    """Two projects with two issues each, three agents, and histories drawn at random."""

    def __init__(self) -> None:
        self.root, self.member, self.stranger = factories.user(is_superuser=True), factories.user(), factories.user()
        self.projects = [factories.project(owner=factories.user()) for _ in range(2)]
        Membership.objects.create(project=self.projects[0], user=self.member, role=Membership.Role.VIEWER)
        self.issues = [factories.issue(project) for project in self.projects for _ in range(2)]
        self.agents = list(Agent.objects.select_related("account").order_by("pk")[:3])
        self.model = self.agents[0].model

    def spend(self, data) -> None:
        for _ in range(data.draw(st.integers(0, 14))):
            self.charge(data)
        for _ in range(data.draw(st.integers(1, 3))):
            rollups.fold(data.draw(st.sampled_from([1, 7, 10_000])))
            self.end_runs(data)

    def charge(self, data) -> None:
        agent = data.draw(st.sampled_from(self.agents))
        project = data.draw(st.sampled_from([None, *self.projects]))
        issue = data.draw(st.sampled_from([None, *(each for each in self.issues if each.project == project)]))
        owners = [owner.account for owner in (project, issue, agent) if owner]
        at = START + timedelta(hours=data.draw(st.integers(0, 100)))
        called = {name: data.draw(st.sampled_from(of)) for name, of in (("model", MODELS), ("provider", ENDPOINTS))}
        hold = make_hold(*owners, accounts.agent_type_account(agent.role), amount=50, at=at, **called)
        bill = make_bill(
            data.draw(st.integers(0, 60)),
            model_used=data.draw(st.sampled_from(MODELS)),
            provider=data.draw(st.sampled_from(PROVIDERS)),
            source=data.draw(st.sampled_from(Usage.Source.values)),
            input_tokens=data.draw(st.integers(0, 9)),
            cached_tokens=data.draw(st.integers(0, 9)),
            reasoning_tokens=data.draw(st.integers(0, 9)),
        )
        charged = ledger.capture(hold, bill)
        if data.draw(st.booleans()):
            Charge.objects.create(usage=charged, run=self.run(agent, data.draw(st.sampled_from(["", *Outcome.values]))))

    def run(self, agent, outcome: str) -> Run:
        conversation = Conversation.objects.create(title="talk", agent=agent)
        status = Run.Status.FINISHED if outcome else Run.Status.RUNNING
        return Run.objects.create(
            agent=agent, model=self.model, conversation=conversation, purpose="fix", status=status, outcome=outcome
        )

    def end_runs(self, data) -> None:
        """End some of those that are at work; a call of one comes late."""
        for run in Run.objects.exclude(status=Run.Status.FINISHED).order_by("pk"):
            if data.draw(st.booleans()):
                outcome = data.draw(st.sampled_from(Outcome.values))
                Run.objects.filter(pk=run.pk).update(status=Run.Status.FINISHED, outcome=outcome)
            if data.draw(st.booleans()):
                late = ledger.capture(make_hold(run.agent.account, amount=50, at=START), make_bill(7))
                Charge.objects.create(usage=late, run=run)

    def asked(self, data, user) -> UsageFilter:
        """A random filter of what ``user`` can choose."""
        mine = self.projects if user == self.root else self.projects[:1]

        def maybe(values):
            return data.draw(st.sampled_from([None, None, *values]))

        since = maybe([date(2031, 3, 10), date(2031, 3, 12)])
        return UsageFilter(
            project=maybe(mine),
            issue=maybe([issue for issue in self.issues if issue.project in mine]),
            agent=maybe(self.agents),
            account=maybe([accounts.global_account(), accounts.agent_type_account(self.agents[0].role)]),
            model=maybe(MODELS) or "",
            provider=maybe(PROVIDERS) or "",
            model_asked=maybe(MODELS) or "",
            endpoint=maybe(ENDPOINTS) or "",
            since=since,
            until=maybe([date(2031, 3, 12), date(2031, 3, 13)]),
            outcome=maybe([*Outcome.values, "open", "none"]) or "",
            source=maybe(Usage.Source.values) or "",
            run=maybe(Run.objects.values_list("pk", flat=True)[:2]),
        )

    def expected(self, user, asked: UsageFilter) -> list[Usage]:
        """What a slow reader finds who looks at each usage by itself."""
        return [each for each in Usage.objects.select_related("hold") if self.fits(user, asked, each)]

    def fits(self, user, asked: UsageFilter, each: Usage) -> bool:
        payers = set(each.postings.values_list("account", flat=True))
        seen = user == self.root or self.projects[0].account_id in payers
        day = each.hold.created_at.astimezone(periods.zone()).date()
        run = Run.objects.filter(charges__usage=each).first()
        ended = "none" if run is None else run.outcome or "open"
        return (
            seen
            and {account.pk for account in asked.accounts} <= payers
            and asked.model in ("", each.model_used)
            and asked.provider in ("", each.provider)
            and asked.model_asked in ("", each.model_asked)
            and asked.endpoint in ("", each.hold.provider)
            and asked.source in ("", each.cost_source)
            and asked.outcome in ("", ended)
            and asked.run in (None, run and run.pk)
            and (asked.since or day) <= day <= (asked.until or day)
        )


def added_up(usages: list[Usage]) -> Totals:
    return sum(
        (
            Totals(
                each.cost_nanousd, 1, each.input_tokens, each.cached_tokens, each.output_tokens, each.reasoning_tokens
            )
            for each in usages
        ),
        Totals(),
    )


def test_totals_groups_rows_and_export_are_the_sums_of_the_postings(settings) -> None:
    company = Company()

    @given(data=st.data())
    @hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def each_history(data) -> None:
        settings.TIME_ZONE = data.draw(st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"]))
        with rolled_back():
            rollups.follow_zone()
            company.spend(data)
            for _ in range(4):
                agrees(company, data)
            assert usage.totals(company.stranger, UsageFilter()) == Totals()

    each_history()


def agrees(company: Company, data) -> None:
    """Check what the explorer says to a random question of one of those who may ask."""
    user = data.draw(st.sampled_from([company.root, company.member]))
    asked = company.asked(data, user)
    expected = company.expected(user, asked)
    total = added_up(expected)

    assert usage.totals(user, asked) == total
    for by in usage.GROUPINGS:
        found = usage.sums(user, asked, by)
        assert (found.totals, sum((group.totals for group in found.groups), Totals())) == (total, total), by
        first = usage.sums(user, asked, by, most=2)
        assert (first.groups, first.totals) == (found.groups[:2], total) or _tied(found.groups), by
        assert sum((group.totals for group in first.groups), first.others) == total, by
    rows = usage.postings(user, asked)
    newest_first = sorted(rows, key=lambda row: (row.at, row.pk), reverse=True)
    assert sorted(row.usage_id for row in rows) == sorted(each.pk for each in expected)
    assert paged(lambda _: rows, size=3) == [row.usage_id for row in newest_first]
    assert paged(lambda before: usage.recent(user, asked, before, 3), size=3) == [row.usage_id for row in newest_first]
    exported = list(csv.DictReader(io.StringIO("".join(usage_csv.table(rows)))))
    assert sum(nanousd(row["cost_usd"]) for row in exported) == total.cost_nanousd
    posted = Posting.objects.filter(usage__in=expected, account=accounts.global_account())
    assert sum(posting.amount_nanousd for posting in posted) == total.cost_nanousd


def _tied(groups) -> bool:
    """Whether the second and the third cost the same, so that either may be shown."""
    return len(groups) > 2 and groups[1].totals.cost_nanousd == groups[2].totals.cost_nanousd


def paged(rows_after, size: int) -> list[int]:
    """Read page after page to the end."""
    seen, before = [], ""
    while True:
        lines, before = usage_lines.page(rows_after(before), before, size)
        seen += [line.usage.pk for line in lines]
        if not before:
            return seen


def test_a_line_says_what_was_set_aside_what_it_was_for_and_which_message_it_paid() -> None:
    issue, agent = factories.issue(factories.project()), Agent.objects.first()
    role = accounts.agent_type_account(agent.role)
    conversation = Conversation.objects.create(title="talk", agent=agent)
    run = Run.objects.create(agent=agent, model=agent.model, conversation=conversation, purpose="fix")
    paid = [issue.account, issue.project.account, agent.account, role]
    step = ledger.capture(make_hold(*paid, amount=90, reference=f"run:{run.pk}/step:1/attempt:1"), make_bill(10))
    cut = ledger.capture(make_hold(*paid, amount=80, reference=f"run:{run.pk}/condense:7/attempt:1"), make_bill(20))
    Charge.objects.create(usage=step, run=run)
    Charge.objects.create(usage=cut, run=run)
    message = Message.objects.create(conversation=conversation, run=run, step=1, role="assistant", usage=step)
    loose = spend(cost=5)

    lines, _ = usage_lines.page(usage.postings(factories.user(is_superuser=True), UsageFilter()))

    told = {line.usage.pk: line for line in lines}
    assert (told[step.pk].purpose, told[step.pk].held_nanousd, told[step.pk].message) == ("fix", 90, message.pk)
    assert (told[cut.pk].purpose, told[cut.pk].run, told[cut.pk].message) == ("condense", run.pk, None)
    assert (told[step.pk].issue, told[step.pk].project, told[step.pk].agent) == (issue, issue.project, agent)
    assert (told[step.pk].role, told[step.pk].outcome) == (agent.role, "open")
    assert (told[loose.pk].run, told[loose.pk].issue, told[loose.pk].purpose) == (None, None, "")


@pytest.mark.parametrize("number", [1, 4])
def test_a_page_takes_the_same_queries_however_many_rows_it_has(number, django_assert_num_queries) -> None:
    owner = factories.user()
    project = factories.project(owner=owner)
    for _ in range(number):
        spend(factories.issue(project).account, project.account)
    rows = usage.postings(owner, UsageFilter())

    with django_assert_num_queries(9):
        lines, _ = usage_lines.page(rows)

    assert len(lines) == number


def test_the_latest_calls_of_all_take_one_query_to_say_whose_they_are(django_assert_num_queries) -> None:
    owner = factories.user()
    spend(factories.project(owner=owner).account)

    with django_assert_num_queries(1):
        everything = usage.recent(owner, UsageFilter())
    with django_assert_num_queries(3):
        of_a_model = usage.recent(owner, UsageFilter(model="acme/large"))

    assert [posting.usage.model_used for posting in everything] == ["acme/large"]
    assert list(of_a_model) == list(everything)


def test_calls_whose_cost_nobody_knows_stand_apart_with_what_they_may_cost() -> None:
    owner = factories.user()
    ours, theirs = factories.project(owner=owner), factories.project()
    hold = make_hold(ours.account, amount=70)
    make_hold(theirs.account, amount=500)
    lost = make_hold(ours.account, amount=30)
    ledger.lose(lost)
    spend(ours.account, cost=9)

    assert set(usage.open_holds(owner, UsageFilter())) == {hold, lost}
    assert usage.open_holds(owner, UsageFilter(project=theirs)).count() == 0
    assert usage.open_holds(owner, UsageFilter(model="acme/none")).count() == 0
    assert usage.open_holds(owner, UsageFilter(model_asked="acme/none")).count() == 0
    assert usage.open_holds(owner, UsageFilter(endpoint="none")).count() == 0
    assert usage.open_holds(owner, UsageFilter(model_asked="acme/large")).count() == 2
    assert usage.open_holds(owner, UsageFilter(source="response")).count() == 0
    assert usage.open_holds(factories.user(is_superuser=True), UsageFilter()).count() == 3


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@cmd", "\tx", "\rx"])
def test_a_name_that_a_spreadsheet_would_run_is_defused(text) -> None:
    hold = make_hold(amount=5)
    ledger.capture(hold, make_bill(5, model_used=text, provider="plain"))

    [row] = csv.DictReader(io.StringIO("".join(usage_csv.table(Posting.objects.all())), newline=""))

    assert (row["model_used"], row["provider"], row["cost_usd"]) == (f"'{text}", "plain", usd_string(5))


def test_a_long_export_is_read_in_batches(monkeypatch) -> None:
    monkeypatch.setattr(usage_lines, "BATCH", 2)
    for cost in range(5):
        spend(cost=cost)

    parts = list(usage_csv.table(Posting.objects.all()))

    assert [part.count("\r\n") for part in parts] == [1, 2, 2, 1]


@pytest.mark.parametrize("text", ["1", "x-1", "1-x", "-", "99999999999999999999-1", "१-1"])
def test_a_place_that_is_none_is_refused(text) -> None:
    with pytest.raises(InvalidInput):
        usage_lines.page(Posting.objects.all(), text)


@pytest.mark.parametrize(
    ("field", "text"), [("until", "9999-12-31"), ("since", "0001-01-01"), ("run", "9" * 23), ("run", "0")]
)
def test_what_no_usage_can_be_is_refused(field, text) -> None:
    with pytest.raises(InvalidInput) as refusal:
        _ = UsageFilterForm(factories.user(is_superuser=True), {field: text}).filter
    assert set(refusal.value.fields) == {field}


def test_a_filter_says_what_is_wrong_with_it() -> None:
    hidden = factories.issue(factories.project())
    words = {"issue": hidden.key, "project": hidden.project.key, "since": "2031-03-12", "until": "2031-03-01"}

    with pytest.raises(InvalidInput) as refusal:
        _ = UsageFilterForm(factories.user(), words).filter

    assert set(refusal.value.fields) == {"issue", "project", "until"}
    assert queries.sums(Asked(), by="day") == {}
