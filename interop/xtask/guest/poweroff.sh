#!/bin/sh
# What the kernel runs when its host asks for an orderly shutdown: process 1 is told, as any init would be.

kill -USR2 1
