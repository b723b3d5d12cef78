"""What somebody's token says of them, and how a client ends one."""

from githubsync.simulator import oauth
from githubsync.simulator.routing import Answer, Call, Refusal, route
from githubsync.simulator.things import now


@route("GET", "/user/emails")
def emails(call: Call) -> Answer:
    token = call.token
    if token.scopes is not None and not {"user", "user:email"} & set(token.scopes):
        raise Refusal(404, "Not Found")
    if token.scopes is None and not token.grants("emails", "read"):
        raise Refusal(403, "Resource not accessible by integration")
    named = [(f"{call.account.login}@example.org", True, True), (f"{call.account.login}@example.com", False, False)]
    rows = [
        {"email": email, "primary": primary, "verified": verified, "visibility": "private" if primary else None}
        for email, primary, verified in named
    ]
    return call.listing(rows, dict)


@route("GET", "/user/{account_id}")
def by_number(call: Call, account_id: str) -> Answer:
    found = next((one for one in call.world.accounts.values() if one.id == int(account_id)), None)
    if found is None:
        raise Refusal(404, "Not Found")
    return Answer(200, call.shapes.me(found, now()))


@route("DELETE", "/applications/{client_id}/token")
def end(call: Call, client_id: str) -> Answer:
    client, access = call.token.client, call.body.get("access_token")
    if client is None or client.id != client_id:
        raise Refusal(404, "Not Found")
    if not isinstance(access, str) or not access:
        raise Refusal(422, "Validation Failed")
    if call.world.oauth.owners.get(access) != client_id:
        raise Refusal(404, "Not Found")
    oauth.forget(call.world, access)
    return Answer(204)
