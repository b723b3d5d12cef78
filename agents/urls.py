from django.urls import path

from agents.views import lost_calls, models, providers, staff

app_name = "agents"
urlpatterns = [
    path("agents/", staff.index, name="list"),
    path("agents/new/", staff.hire, name="hire"),
    path("agents/providers/<int:pk>/check/", staff.check_provider, name="check_provider"),
    path("agents/<slug:name>/", staff.detail, name="agent"),
    path("agents/<slug:name>/change/", staff.change, name="change"),
    path("calls/lost/", lost_calls.index, name="lost_calls"),
    path("calls/lost/<int:pk>/", lost_calls.decide, name="decide_call"),
    path("models/", models.index, name="models"),
    path("models/<int:pk>/", models.detail, name="model"),
    path("models/<int:pk>/change/", models.change, name="change_model"),
    path("models/<int:pk>/patches/", models.let_patch, name="let_model_patch"),
    path("models/<int:pk>/in-full/", models.ask_in_full, name="ask_model_in_full"),
    path("models/<int:pk>/switch/", models.switch, name="switch_model"),
    path("providers/", providers.index, name="providers"),
    path("providers/new/", providers.new, name="new_provider"),
    path("providers/compare/", providers.compare, name="compare_bills"),
    path("providers/<int:pk>/", providers.detail, name="provider"),
    path("providers/<int:pk>/address/", providers.change, name="change_provider"),
    path("providers/<int:pk>/key/", providers.set_key, name="set_key"),
    path("providers/<int:pk>/key/remove/", providers.remove_key, name="remove_key"),
    path("providers/<int:pk>/management-key/", providers.set_management_key, name="set_management_key"),
    path("providers/<int:pk>/management-key/remove/", providers.remove_management_key, name="remove_management_key"),
    path("providers/<int:pk>/debut/", providers.begin_debut, name="begin_debut"),
    path("providers/<int:pk>/wall/", providers.build_wall, name="build_wall"),
    path("providers/<int:pk>/wall/leave/", providers.leave_wall, name="leave_wall"),
    path("providers/<int:pk>/switch/", providers.switch, name="switch_provider"),
    path("providers/<int:pk>/check/", providers.check, name="check_health"),
    path("providers/<int:pk>/refresh/", providers.refresh, name="refresh_models"),
    path("providers/<int:pk>/models/new/", providers.new_model, name="new_model"),
]
