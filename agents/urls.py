from django.urls import path

from agents import views

app_name = "agents"
urlpatterns = [
    path("", views.index, name="list"),
    path("new/", views.hire, name="hire"),
    path("providers/<int:pk>/check/", views.check_provider, name="check_provider"),
    path("<slug:name>/", views.detail, name="agent"),
    path("<slug:name>/change/", views.change, name="change"),
]
