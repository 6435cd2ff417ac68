"""Unlearning for recommenders, on the base of ``graphforget``.

:mod:`recsys.task` runs and scores them, :mod:`recsys.data` loads interactions with item modalities,
:mod:`recsys.models` holds reference models, :mod:`recsys.recbole` works on trained RecBole models. Every method has a
file of its own: ``row_reset mmrecun mmrecun_calibrated rrl scif receraser amnesiac``, beside those of
``graphforget.methods``.
"""
