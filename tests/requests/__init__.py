"""Tests of the request pipeline, stage by stage, and of its limits; see decisions/0008-request-pipeline.md."""
