"""What each data set is: source, licence, published counts, files: plain data, read by ``data``.

Counts are the published ones and are checked whenever a data set is read. A checksum stands where the file at the
address is known byte for byte (``pinned``: a download must match it); elsewhere it describes a copy with the same
counts that was packed anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class DatasetCard:
    """The facts of one data set.

    Args:
        title: as papers write it.
        source: where it comes from.
        licence: as far as it is stated.
        nodes: number of nodes.
        edges: number of edges, an undirected edge once; None where it depends on a seed.
        features: columns of x; 0 means no x.
        classes: number of labels; 0 means no y.
        folder: below the data root; empty for data that needs no file.
        layout: how its files are read, a name of :data:`graphforget.gnn.readers.READERS`.
        files: path below ``folder`` -> SHA-256, or "" where it is not known.
        url: where the files are: a folder, or the one archive that holds them.
        pinned: a download must have the checksums above.
        bag_of_words: rows of x are scaled to sum to one (PyG's NormalizeFeatures) unless the caller says otherwise.
        undirected: each edge counts in both directions.
        graphs: number of graphs of a collection.
        task: what it is used for by default, ``link`` or ``node``.
        note: what a reader of figures should know.
    """

    title: str
    source: str
    licence: str
    nodes: int
    edges: int | None
    features: int
    classes: int
    folder: str = ""
    layout: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    pinned: bool = False
    bag_of_words: bool = False
    undirected: bool = True
    graphs: int = 1
    task: str = "link"
    note: str = ""


_KIMIYOUNG = "https://github.com/kimiyoung/planetoid/raw/master/data/"
_GRAPH2GAUSS = "https://github.com/abojchevski/graph2gauss/raw/master/data/"
_SHCHUR = "https://github.com/shchur/gnn-benchmark/raw/master/data/npz/"
_YANDEX = "https://github.com/yandex-research/heterophilous-graphs/raw/main/data/"
_GRAPHDATA = "https://github.com/EdisonLeeeee/GraphData/raw/e766147ccf09e2e29ea449a4029482c21a93aa7d/datasets/"
_VILLMOW = "https://raw.githubusercontent.com/villmow/datasets_knowledge_embedding/master/WN18RR/original/"
_OGB = "https://snap.stanford.edu/ogb/data/"
_TU = "https://www.chrsmrrs.com/graphkerneldatasets/"

_MIT = "MIT (of the repository)"
_LONG = "x stays 0 and 1, as in the file: scaled to sum to one, 267 words a row (Computers) are too small to train on"


def _planetoid(title: str, nodes: int, edges: int, features: int, classes: int, sums: str, note: str) -> DatasetCard:
    name = title.lower()
    parts = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
    files = {f"{title}/raw/ind.{name}.{part}": sha for part, sha in zip(parts, sums.split(), strict=True)}
    source = "kimiyoung/planetoid (Yang et al., ICML 2016)"
    counts = (nodes, edges, features, classes)
    return DatasetCard(
        title, source, "MIT", *counts, "planetoid", "planetoid", files, _KIMIYOUNG, True, True, task="link", note=note
    )


def _npz(
    title: str,
    source: str,
    counts: tuple[int, int, int, int],
    folder: str,
    file: str,
    sha: str,
    url: str,
    *,
    pinned: bool = False,
    bag_of_words: bool = True,
    note: str = "",
) -> DatasetCard:
    files = {file: sha}
    return DatasetCard(title, source, _MIT, *counts, folder, "npz", files, url, pinned, bag_of_words, note=note)


def _heterophilous(title: str, counts: tuple[int, int, int, int], sha: str, words: bool) -> DatasetCard:
    name = title.lower()
    source = "yandex-research/heterophilous-graphs (Platonov et al., ICLR 2023)"
    files = {f"{name}.npz": sha}
    layout = ("heterophilous", "masked_npz")
    return DatasetCard(title, source, "MIT", *counts, *layout, files, _YANDEX, True, words, task="node")


def _ogb(
    title: str, counts: tuple[int, int, int, int], layout: str, files: Mapping[str, str], url: str, **more: str
) -> DatasetCard:
    task = more.pop("task", "link")
    folder = f"{title.replace('-', '_')}/{title.replace('-', '_')}"
    source, licence = "Open Graph Benchmark (Hu et al., NeurIPS 2020)", more.pop("licence")
    return DatasetCard(title, source, licence, *counts, folder, layout, files, _OGB + url, task=task, **more)  # type: ignore[arg-type]


_CITATIONFULL = "abojchevski/graph2gauss (Bojchevski and Guennemann, ICLR 2018)"
_PITFALLS = "shchur/gnn-benchmark (Shchur et al., 2018)"

DATASETS: dict[str, DatasetCard] = {
    "cora": _planetoid(
        "Cora", 2708, 5278, 1433, 7,
        "23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab"
        " b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a"
        " 9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543"
        " 94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1"
        " 41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad"
        " 2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71"
        " 58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d"
        " 297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
        "",
    ),
    "citeseer": _planetoid(
        "CiteSeer", 3327, 4552, 3703, 6,
        "d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6"
        " 539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21"
        " 2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668"
        " 8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924"
        " 55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce"
        " f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95"
        " d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7"
        " 2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
        "15 test nodes have no words and no label in the source: x is zero, y is -1 (PyG gives them class 0)",
    ),
    "pubmed": _planetoid(
        "PubMed", 19717, 44324, 500, 3,
        "fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33"
        " 4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d"
        " 508e538e2abdccdd54c4d3e9f49d638b4af7107d85845f66ddea5a5152658b7e"
        " e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3"
        " ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd"
        " 0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e"
        " 5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9"
        " b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
        "x holds TF-IDF weights",
    ),
    "dblp": _npz(
        "DBLP", _CITATIONFULL, (17716, 52867, 1639, 4), "citationfull", "dblp/raw/dblp.npz",
        "733c4ec2eec712a3c2b6cf9660ba9f4e1bdf4ce27869114f1de29d8e7a5a24f5", _GRAPH2GAUSS,
    ),
    "cora_ml": _npz(
        "Cora_ML", _CITATIONFULL, (2995, 8158, 2879, 7), "citationfull", "cora_ml/raw/cora_ml.npz",
        "ba929b05dd5f08ab7974d8b42c31c0574422d353fc420e5417671a8356e3e755", _GRAPH2GAUSS,
    ),
    "citeseer_full": _npz(
        "CiteSeer (full)", _CITATIONFULL, (4230, 5337, 602, 6), "citationfull", "citeseer/raw/citeseer.npz",
        "939e69aae038ecc385496f26ac9a22befe69256929a08c17c47aa0584843a520", _GRAPH2GAUSS,
    ),
    "cs": _npz(
        "Coauthor CS", _PITFALLS, (18333, 81894, 6805, 15), "coauthor", "CS/raw/ms_academic_cs.npz",
        "48e79e9e838aab635ca8fff852d25cb804c0d8ed79e5bae0f1a8f2d147b2188d", _SHCHUR,
    ),
    "physics": _npz(
        "Coauthor Physics", _PITFALLS, (34493, 247962, 8415, 5), "coauthor", "Physics/raw/ms_academic_phy.npz",
        "121a85ee9fac9859693e649d3e9f3561e3a23a9aa4d8e8951e9e3eec8e9b52ef", _SHCHUR,
    ),
    "computers": _npz(
        "Amazon Computers", _PITFALLS, (13752, 245861, 767, 10), "amazon",
        "Computers/raw/amazon_electronics_computers.npz",
        "bffa1720ee30487a6f10f2ad57741d1a401d89a31a6a4c5c6de1ba42a1f2a0e0", _SHCHUR, bag_of_words=False, note=_LONG,
    ),
    "photo": _npz(
        "Amazon Photo", _PITFALLS, (7650, 119081, 745, 8), "amazon", "Photo/raw/amazon_electronics_photo.npz",
        "f0552bc8bcdb103c25b07cf4619bd9458af435c0728dc8366e86ffb912018c25", _SHCHUR, bag_of_words=False, note=_LONG,
    ),
    "tolokers": _heterophilous(
        "Tolokers", (11758, 519000, 10, 2),
        "dacf3ac94cec53d03cd2adb5255c08b33dee1656c33ca8164a464bd9450a1667", False,
    ),
    "minesweeper": _heterophilous(
        "Minesweeper", (10000, 39402, 7, 2),
        "e664c8dacf1e8ac466c2c09ed4b237bd2c5541f47a6eae9c6092cb87f16412b3", False,
    ),
    "actor": _heterophilous(
        "Actor", (7600, 26659, 932, 5),
        "c350eef06b2c2a9bf8218be2b57cac6d4003d0922eb597a039e9123f75817816", True,
    ),
    "blogcatalog": _npz(
        "BlogCatalog", "EdisonLeeeee/GraphData (Huang et al., WSDM 2017)", (5196, 171743, 8189, 6),
        "attributed_social", "blogcatalog.npz",
        "21d5615b050f11e86941853fe9ccf34f3602c65e20f57c981a7b6517a66ff484", _GRAPHDATA, pinned=True,
    ),
    "acm": _npz(
        "ACM", "EdisonLeeeee/GraphData (Bo et al., WWW 2020)", (3025, 13128, 1870, 3), "attributed_social", "acm.npz",
        "2147afca2a8b877917c099f6a9d8392e977411a327d18215ddeb3d13db450667", _GRAPHDATA, pinned=True,
    ),
    "github": DatasetCard(
        "GitHub (MUSAE)", "SNAP (Rozemberczki et al., 2019)", "GPL-3.0, as SNAP states", 37700, 289003, 4005, 2,
        "musae_github", "musae",
        {"git_web_ml.zip": "56c0c1c2c460dc4c7bf89357b1fec020f45e2ecebab81d131d073b10e28ec031"},
        "https://snap.stanford.edu/data/", True, True, task="node",
    ),
    "wordnet18rr": DatasetCard(
        "WordNet18RR", "villmow/datasets_knowledge_embedding (Dettmers et al., AAAI 2018)",
        "MIT (of the repository); the content under the WordNet licence", 40943, 93003, 0, 0,
        "wordnet18rr", "triples",
        {
            "raw/train.txt": "038612e783c215ee5f3ca9fbfca27b8d0739be1028fe4ee7c174aecf0b83d5df",
            "raw/valid.txt": "453ce7202afa58094a04d2b1560ee2b02660f1c260b32ce6651c8ccedd1028ab",
            "raw/test.txt": "0383bceaaa1096cf3c03ec021ed0048068e2355dbfc0239b292cefdac821cec5",
        },
        _VILLMOW, True, undirected=False,
        note='directed, 11 relations in edge_attrs["type"]; official split 86,835 / 3,034 / 3,134',
    ),
    "ddi": _ogb(
        "ogbl-ddi", (4267, 1334889, 0, 0), "ogb_ddi",
        {
            "raw/edge.csv.gz": "b2c585f425f49b640ee5a3b451069124651ee0f2863a5b6ee6737a6b14c27a6e",
            "split/target/valid.pt": "4a48348f01fad0980a5be269fff7ace300e963144eef22d5ec4fc9830df872ac",
            "split/target/test.pt": "b45cfcf1695babf5a13e90bdf08988be23570ca76af0737f9d517e005ea7e297",
        },
        "linkproppred/ddi.zip", licence="CC-0 by OGB's list (not checked)",
        note="official split 1,067,911 / 133,489 / 133,489 with 101,882 and 95,599 negatives",
    ),
    "collab": _ogb(
        "ogbl-collab", (235868, 1285465, 128, 0), "ogb_collab",
        dict.fromkeys(
            ("raw/edge.csv.gz", "raw/node-feat.csv.gz", "split/time/valid.pt", "split/time/test.pt"), ""
        ),
        "linkproppred/collab.zip", licence="ODC-BY by OGB's list (not checked)",
        note="an edge a year and pair: the count is of these; the graph holds each pair once, without year and weight",
    ),
    "arxiv": _ogb(
        "ogbn-arxiv", (169343, 1166243, 128, 40), "ogb_arxiv",
        dict.fromkeys(
            (
                "raw/edge.csv.gz", "raw/node-feat.csv.gz", "raw/node-label.csv.gz",
                "split/time/train.csv.gz", "split/time/valid.csv.gz", "split/time/test.csv.gz",
            ),
            "",
        ),
        "nodeproppred/arxiv.zip", licence="ODC-BY by OGB's list (not checked)", task="node",
        note="the count is of directed citations; the graph holds them undirected, as is usual",
    ),
    "digits": DatasetCard(
        "Digits (8-nearest-neighbour graph)", "scikit-learn's copy of UCI optdigits, no download",
        "CC-BY-4.0 by UCI's list (not checked)",
        1797, 9929, 64, 10, layout="digits", task="node",
        note="x: pixels in [0, 1]; ties in distance go to the smaller id, so the graph is the same on every machine",
    ),
    "karate": DatasetCard(
        "Zachary's karate club", "networkx (Zachary, 1977), no download", "BSD-3-Clause (networkx)", 34, 78, 0, 2,
        layout="karate", task="node",
    ),
    "sbm": DatasetCard(
        "Stochastic block model", "drawn from the seed, no download", "none needed", 900, None, 16, 3,
        layout="sbm", task="node", note="three blocks of 300 with planted features",
    ),
}  # fmt: skip

COLLECTIONS: dict[str, DatasetCard] = {
    "mutag": DatasetCard(
        "MUTAG", "TUDataset (Morris et al., 2020)", "none stated", 3371, 3721, 7, 2, "tudataset", "tu",
        {
            "MUTAG/raw/MUTAG_A.txt": "d9656ca7493f3445d737c711710bb36fd432dddd1c0ea32e1d4713c86ebd28e2",
            "MUTAG/raw/MUTAG_graph_indicator.txt": "7d520a4d6c7961c0cdeabe076d8fe27e795b6d373485c9a2b744987e560a2056",
            "MUTAG/raw/MUTAG_graph_labels.txt": "a1518ea39ba3426bd42f57396b9c4baffe68e9adc718caeeab0119c6591a5f2c",
            "MUTAG/raw/MUTAG_node_labels.txt": "678f429965490e84dd27713017538c995fc05d1621beac910848b600015ee863",
        },
        _TU + "MUTAG.zip", graphs=188, task="graph",
    ),
    "proteins": DatasetCard(
        "PROTEINS", "TUDataset (Morris et al., 2020)", "none stated", 43471, 81044, 3, 2, "tudataset", "tu",
        {
            "PROTEINS/raw/PROTEINS_A.txt": "4c4b33e272fc95cac6d27ed6d5d12b9a852c8610e91fff59f8f0dbdd5a20df67",
            "PROTEINS/raw/PROTEINS_graph_indicator.txt":
                "8d4ff1e852a5c28561e9bffb44cf9490bc552b13a3b6156dd12dc7f44e9afc4a",
            "PROTEINS/raw/PROTEINS_graph_labels.txt":
                "c0ef9810c440775252872318d0c8adc385588e14bc4c47a2c34aa96ee3c7cdcd",
            "PROTEINS/raw/PROTEINS_node_labels.txt":
                "f758e8ad3d6e3c026b50833d75f6f90735b94eb3345e4243707f495ca8afea8d",
        },
        _TU + "PROTEINS.zip", graphs=1113, task="graph",
    ),
}  # fmt: skip
