"""Unlearning for recommenders, on the base of ``graphforget``: this package is not there yet.

It will hold, with the same rooms as every domain: the task that runs and scores recommenders, loaders for interaction
data with item modalities, reference models, MMRecUN and its peers, and a plug-in for RecBole. Until then importing it
gives nothing but this text.
"""
