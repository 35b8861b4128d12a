"""Adapters: run a real model, trace what ran, measure it. They never predict and never judge.

Each adapter fills a `recording.Recording` and a `varprop.spec.traced.Graph`; nothing outside the adapter of a
framework imports that framework.
"""
