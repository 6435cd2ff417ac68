"""Read recommender data in four published layouts: MMRec's, RecBole's atomic files, LightGCN's and CURE4Rec's.

========  =========================================================================================================
MMRec     ``NAME.inter``, tab-separated, header ``userID itemID [rating timestamp] x_label`` (0 train, 1 valid, 2 test);
          ``MODALITY_feat.npy``, row = itemID; ``u_id_mapping.csv`` and ``i_id_mapping.csv`` (raw ids) where there
RecBole   ``NAME.inter`` or ``NAME.{train,valid,test}.inter``, tab-separated, a header of ``field:type``; ``NAME.user``,
          ``NAME.item``; ``NAME.itemvis``, ``NAME.itemtxt``: one token and one float_seq a line
LightGCN  ``train.txt``, ``test.txt``: one user a line, ``user item item ...``
CURE4Rec  ``train.csv``, ``test.csv``, ``ratings.csv``: comma-separated, header ``uid,iid,val[,tag]``; tag is the time
========  =========================================================================================================

A reader checks what a file says of itself, names the file and the line of what is broken, and changes nothing.
"""

from recsys.cards import Interactions, Vocabulary
from recsys.readers.atomic import PARTS, SUFFIXES, read_atomic
from recsys.readers.mmrec import read_mmrec
from recsys.readers.movies import read_movies
from recsys.readers.plain import read_cure4rec, read_lightgcn, read_users

__all__ = [
    "PARTS",
    "SUFFIXES",
    "Interactions",
    "Vocabulary",
    "read_atomic",
    "read_cure4rec",
    "read_lightgcn",
    "read_mmrec",
    "read_movies",
    "read_users",
]
