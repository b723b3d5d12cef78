from django.urls import path

from budgets import views

app_name = "budgets"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("<int:pk>/", views.account, name="account"),
    path("<int:pk>/limits/", views.set_limit, name="set_limit"),
    path("limits/<int:pk>/remove/", views.remove_limit, name="remove_limit"),
]
