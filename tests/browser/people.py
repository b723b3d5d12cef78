"""Run inside the company (``manage.py shell``): lets people in and prints the keys of their sessions as JSON."""

PEOPLE = """
import json
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from mcc.core.models import User
from projects.models import Membership, Project

def session(user):
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    return store.session_key

admin = User.objects.get(username="admin")
viewer = User.objects.create_user("vera", first_name="Vera", last_name="Lindgren")
stranger = User.objects.create_user("sven")
for project in Project.objects.all():
    Membership.objects.create(project=project, user=viewer, role=Membership.Role.VIEWER)
print("sessions", json.dumps({"admin": session(admin), "viewer": session(viewer), "stranger": session(stranger)}))
"""
