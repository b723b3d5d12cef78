"""The shape of what people write about connections and repositories."""

from collections.abc import Sequence

from django import forms

from githubsync.models import GITHUB_API, Connection, Repository
from mcc.core.models import User
from projects.forms import NewProjectForm, offer_agents
from projects.models import Membership, Project
from projects.settings_forms import LinesField


def secret_field(label: str, *, max_length: int, required: bool) -> forms.CharField:
    """Return a field that takes a secret and never shows it."""
    hidden = forms.PasswordInput(render_value=False, attrs={"autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(label=label, max_length=max_length, required=required, widget=hidden)


class WayForm(forms.Form):
    """What every connection has, however it goes in."""

    name = forms.CharField(max_length=100, help_text="What you call it here.")
    audience = forms.ChoiceField(
        label="Who may use it",
        choices=Connection.Audience.choices,
        initial=Connection.Audience.ADMINISTRATORS,
        help_text="To link repositories. What agents do there is done as the App, or as the owner of the token.",
    )
    api_url = forms.CharField(
        label="API address",
        max_length=300,
        initial=GITHUB_API,
        help_text="Of a GitHub Enterprise Server: https://github.example.org/api/v3",
    )
    ca_file = forms.CharField(
        label="CA file",
        max_length=300,
        required=False,
        help_text="Path on this machine to the certificates that the server is signed with. Empty: the usual ones.",
    )


class ConnectionForm(WayForm):
    """A connection by a personal token that is not there yet."""

    token = secret_field("Personal access token", max_length=1_000, required=True)
    field_order = ("name", "token")


class AppForm(WayForm):
    """A connection by an App that is not made yet."""

    organization = forms.CharField(
        max_length=39,
        required=False,
        help_text="Who owns the App on GitHub: an organization's name. Empty: your own account there.",
    )
    field_order = ("name", "organization")


class EditConnectionForm(ConnectionForm):
    """A connection as it is; an empty token leaves the stored one."""

    def __init__(self, data: object = None, *, connection: Connection) -> None:
        shown = {name: getattr(connection, name) for name in ("name", "audience", "api_url", "ca_file")}
        super().__init__(data, initial=shown)  # type: ignore[arg-type]
        if connection.is_app:
            del self.fields["token"], self.fields["api_url"]
            return
        token = self.fields["token"]
        token.label, token.required = "Another token", False
        token.help_text = "Empty: the stored one stays. Another address wants its own token."


class ClientForm(forms.Form):
    """The client of an OAuth App, by which people sign in."""

    client_id = forms.CharField(label="Client ID", max_length=100)
    client_secret = secret_field("Client secret", max_length=100, required=True)


class ServerField(forms.ModelChoiceField):
    """A choice among connections by the servers that they go to."""

    def label_from_instance(self, obj: Connection) -> str:
        return obj.web_url


class InviteForm(forms.Form):
    """Somebody on GitHub who may come in."""

    connection = ServerField(Connection.objects.none(), label="Server", empty_label=None)
    login = forms.CharField(
        label="Name on GitHub",
        max_length=100,
        help_text="Looked up now; what is kept is the number of the account, so nobody else can take the name over.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )
    user = forms.ModelChoiceField(User.objects.none(), label="Comes in as", required=False, empty_label="a new account")

    projects = forms.ModelMultipleChoiceField(
        Project.objects.none(),
        label="Member of",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Whoever is a member already keeps their role.",
    )
    role = forms.ChoiceField(label="There as", choices=Membership.Role.choices, initial=Membership.Role.VIEWER)

    def __init__(self, data: object = None, *, ways: Sequence[Connection]) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        server, user, projects = self.fields["connection"], self.fields["user"], self.fields["projects"]
        assert isinstance(server, forms.ModelChoiceField) and isinstance(user, forms.ModelChoiceField)
        assert isinstance(projects, forms.ModelMultipleChoiceField)
        projects.queryset = Project.objects.order_by("key")
        if not projects.queryset.exists():
            del self.fields["projects"], self.fields["role"]
        server.queryset = Connection.objects.filter(pk__in=[way.pk for way in ways])
        if len(ways) == 1:
            server.initial, server.widget = ways[0], forms.HiddenInput()
        user.queryset = User.objects.filter(is_active=True, github_identities=None).order_by("username")


class TriggersForm(forms.Form):
    """What starts work from GitHub. ``triggers.change`` says what it may be."""

    trigger_label = forms.CharField(
        label="Label",
        required=False,
        help_text="On an issue it starts work, taken off it stops it. Empty: no label.",
    )
    trigger_assignee = forms.CharField(
        label="Assignee",
        required=False,
        help_text="An issue that is assigned to this account on GitHub is worked on; no longer assigned, work stops. "
        "Best one that nobody else uses; an App cannot be assigned. Empty: no assignment.",
    )
    mention = forms.CharField(
        label="Name in comments",
        required=False,
        help_text="A line that begins with @ and this name is an order, as one with /mcc is. Empty: only /mcc.",
    )
    trusted_bots = LinesField(
        label="Bots that may give orders",
        placeholder="49699333",
        help_text="GitHub's numbers of their accounts, one a line; names can pass to others. Empty: no bot.",
    )
    starts_per_hour = forms.IntegerField(
        label="Starts in an hour", min_value=1, help_text="More are taken for a loop and refused, and the page says so."
    )

    def __init__(self, data: object = None, *, repository: Repository) -> None:
        names = ("trigger_label", "trigger_assignee", "mention", "starts_per_hour")
        shown = {name: getattr(repository, name) for name in names}
        bots = [str(each) for each in repository.trusted_bots]
        super().__init__(data, initial=shown | {"trusted_bots": bots})  # type: ignore[arg-type]

    def clean_trusted_bots(self) -> list[int]:
        lines = self.cleaned_data["trusted_bots"]
        if wrong := [line for line in lines if not (line.isascii() and line.isdigit() and len(line) < 20)]:
            raise forms.ValidationError(f"Only digits: {wrong[0][:40]} is no number of an account.")
        return [int(line) for line in lines]


class LinkForm(forms.Form):
    """A project on a repository that was chosen."""

    name = NewProjectForm.base_fields["name"]
    key = NewProjectForm.base_fields["key"]
    team = NewProjectForm.base_fields["team"]

    def __init__(self, data: object = None, *, full_name: str) -> None:
        name = full_name.rpartition("/")[2]
        key = "".join(sign for sign in name.upper() if sign.isascii() and sign.isalnum()).lstrip("0123456789")
        super().__init__(data, initial={"name": name, "key": key[:4]})  # type: ignore[arg-type]
        offer_agents(self)
