"""Several networks trained under one recipe through BasicSR's pipeline, then compared: `aethernet bench arena`.

A recipe names the networks, the pictures and the training; every network is trained in a process and a folder of its
own, one after the other. What is finished is kept, so the same call goes on where it was stopped.
"""
