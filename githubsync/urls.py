from django.urls import path

from githubsync.views import account, apps, connections, deliveries, people, repositories, sign_in, webhooks

app_name = "github"
urlpatterns = [
    path("webhooks/github/<int:connection_id>/", webhooks.receive, name="webhook"),
    path("connections/", connections.index, name="connections"),
    path("connections/new/", connections.new, name="new_connection"),
    path("connections/new/app/", apps.new, name="new_app"),
    path("connections/<int:pk>/app/", apps.make, name="make_app"),
    path("connections/<int:pk>/app/made/", apps.made, name="app_made"),
    path("connections/<int:pk>/app/installed/", apps.installed, name="app_installed"),
    path("connections/<int:pk>/", connections.detail, name="connection"),
    path("connections/<int:pk>/change/", connections.change, name="change_connection"),
    path("connections/<int:pk>/test/", connections.test, name="test_connection"),
    path("connections/<int:pk>/switch/", connections.switch, name="switch_connection"),
    path("connections/<int:pk>/remove/", connections.remove, name="remove_connection"),
    path("connections/<int:pk>/deliveries/", deliveries.index, name="deliveries"),
    path("connections/<int:pk>/deliveries/<int:delivery_pk>/replay/", deliveries.replay, name="replay"),
    path("connections/<int:pk>/sign-in/", connections.offer_sign_in, name="offer_sign_in"),
    path("connections/<int:pk>/sign-in/withdraw/", connections.withdraw_sign_in, name="withdraw_sign_in"),
    path("accounts/github/<int:pk>/", sign_in.leave, name="sign_in"),
    path("accounts/github/<int:pk>/back/", sign_in.back, name="signed_in"),
    path("account/", account.show, name="account"),
    path("account/github/<int:pk>/", account.repositories, name="my_repositories"),
    path("account/github/<int:pk>/disconnect/", account.disconnect, name="disconnect"),
    path("people/", people.index, name="people"),
    path("people/invitations/<int:pk>/withdraw/", people.withdraw, name="withdraw_invitation"),
    path("projects/new/github/", repositories.choose, name="choose"),
    path("projects/new/github/<int:connection_id>/<int:github_id>/", repositories.link, name="link"),
    path("projects/<str:key>/github/", repositories.show, name="repository"),
    path("projects/<str:key>/github/clone/", repositories.clone_again, name="clone_again"),
    path("projects/<str:key>/github/triggers/", repositories.triggers, name="triggers"),
    path("projects/<str:key>/github/look/", repositories.look_again, name="look_again"),
    path("projects/<str:key>/github/branch/", repositories.decide_branch, name="decide_branch"),
    path("projects/<str:key>/github/labels/", repositories.make_labels, name="make_labels"),
    path("projects/<str:key>/github/import/", repositories.import_issues, name="import"),
]
