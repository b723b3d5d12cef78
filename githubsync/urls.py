from django.urls import path

from githubsync.views import connections

app_name = "github"
urlpatterns = [
    path("connections/", connections.index, name="connections"),
    path("connections/new/", connections.new, name="new_connection"),
    path("connections/<int:pk>/", connections.detail, name="connection"),
    path("connections/<int:pk>/change/", connections.change, name="change_connection"),
    path("connections/<int:pk>/test/", connections.test, name="test_connection"),
    path("connections/<int:pk>/switch/", connections.switch, name="switch_connection"),
    path("connections/<int:pk>/remove/", connections.remove, name="remove_connection"),
]
