"""Pipelines: reading `.gitlab-ci.yml`, creating and advancing pipelines, running jobs."""
