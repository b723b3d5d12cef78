"""``/api/v1/``."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView
from rest_framework_simplejwt.views import TokenRefreshView

from projects.api import (
    bills,
    catalogue,
    issues,
    lost_calls,
    members,
    money,
    projects,
    requests,
    runs,
    stops,
    tokens,
    usage,
)

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("auth/token/", tokens.Token.as_view(), name="api-token"),
    path("auth/token/refresh/", TokenRefreshView.as_view(), name="api-token-refresh"),
    path("projects/", projects.ProjectList.as_view()),
    path("projects/<int:pk>/", projects.ProjectDetail.as_view()),
    path("projects/<int:pk>/issues/", projects.ProjectIssues.as_view()),
    path("projects/<int:pk>/members/", members.MemberList.as_view()),
    path("projects/<int:pk>/members/<str:username>/", members.MemberDetail.as_view()),
    path("issues/<int:pk>/", issues.IssueDetail.as_view()),
    path("issues/<int:pk>/start/", issues.IssueStart.as_view()),
    path("issues/<int:pk>/cancel/", issues.IssueCancel.as_view()),
    path("tasks/<int:pk>/", issues.TaskDetail.as_view()),
    path("pull-requests/<int:pk>/", issues.PullRequestDetail.as_view()),
    path("runs/<int:pk>/", runs.RunDetail.as_view()),
    path("runs/<int:pk>/go-on/", runs.RunGoOn.as_view()),
    path("runs/<int:pk>/messages/", runs.RunMessages.as_view()),
    path("requests/", requests.RequestList.as_view()),
    path("requests/<int:pk>/answer/", requests.RequestAnswer.as_view()),
    path("agents/", runs.AgentList.as_view()),
    path("agents/<int:pk>/", runs.AgentDetail.as_view()),
    path("models/", catalogue.ModelList.as_view()),
    path("models/<int:pk>/", catalogue.ModelDetail.as_view()),
    path("providers/", catalogue.ProviderList.as_view()),
    path("providers/<int:pk>/", catalogue.ProviderDetail.as_view()),
    path("providers/<int:pk>/check/", catalogue.ProviderCheck.as_view()),
    path("providers/<int:pk>/debut/", catalogue.ProviderDebut.as_view()),
    path("providers/<int:pk>/wall/", catalogue.ProviderWall.as_view()),
    path("providers/<int:pk>/refresh/", catalogue.ProviderRefresh.as_view()),
    path("bills/", bills.Bills.as_view()),
    path("budgets/", money.BudgetList.as_view()),
    path("budgets/<int:pk>/", money.BudgetDetail.as_view()),
    path("budgets/<int:pk>/limits/<str:period>/", money.BudgetLimit.as_view()),
    path("lost-calls/", lost_calls.LostCallList.as_view()),
    path("lost-calls/<int:pk>/decide/", lost_calls.LostCallDecide.as_view()),
    path("usage/", usage.UsageList.as_view()),
    path("stop/", stops.Stop.as_view()),
]
