"""The known leaks of the benchmark: found in edition 1 as published, gone in edition 2; nothing in the samples."""

import io
import math
import random
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from mleb_core.layout import CompetitionData
from mleb_core.prepare import prepare
from mleb_core.registry import Registry

sys.path.insert(0, str(Path(__file__).parent))
from leaky import audited, bad

KNOWN = {
    "random-acts-of-pizza": [("missing-tells-target", "`giver_username_if_known` is there", "public/test.json")],
    "hubmap-kidney-segmentation": [("answers-in-file", "public/test/{id}.json: what its polygons", "public/test/")],
    "cassava-leaf-disease-classification": [("answers-in-file", "`target` is the answer for 32 of 32", ".tfrec")],
    "siim-isic-melanoma-classification": [
        ("answers-in-file", "`target` is the answer for 20 of 20", ".tfrec"),
        ("group-in-train-and-test", "patient_id that is in train too", "public/test.csv"),
    ],
    "movie-review-sentiment-analysis-kernels-only": [
        ("group-in-train-and-test", "a SentenceId that is in train too", "public/test.tsv.zip!test.tsv")
    ],
    "ranzcr-clip-catheter-line-classification": [
        ("group-in-train-and-test", "a PatientID that is in train too", "private/test.csv")
    ],
}
"""What must be found, and where: rule, words of the sentence, part of the first piece of evidence's file."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.mark.parametrize("id", KNOWN)
def test_golden_data_gives_its_known_leaks_away_in_edition_1_alone(shared, registry, tmp_path, id):
    with zipfile.ZipFile(shared / "golden" / id / "raw.zip") as archive:
        archive.extractall(tmp_path / "raw")
    competition = registry.competition(id)
    found = bad(audited(competition, prepare(competition, tmp_path, raw_dir=tmp_path / "raw", verify=False)))
    for rule, words, file in KNOWN[id]:
        (finding,) = [one for one in found if one.rule == rule and words in one.message]
        assert file in finding.evidence[0].file
        assert finding.severity == ("warning" if rule.startswith("group") else "serious")
    repaired = competition.in_edition(2)
    data = prepare(repaired, tmp_path, raw_dir=tmp_path / "raw", verify=False)
    assert bad(audited(repaired, data)) == []


@pytest.mark.parametrize("id", [competition.id for competition in Registry().split("samples")])
def test_nothing_is_found_in_the_samples(registry, tmp_path, id):
    competition = registry.competition(id)
    findings = audited(competition, prepare(competition, tmp_path))
    assert findings == []


def nmea(latitude: float, longitude: float, second: int) -> str:
    """A GGA sentence as a receiver writes it."""

    def angle(value: float, digits: int) -> str:
        degrees = int(abs(value))
        return f"{degrees:0{digits}d}{(abs(value) - degrees) * 60:010.7f}"

    stamp = f"{second // 3600 % 24:02d}{second // 60 % 60:02d}{second % 60:02d}.00"
    text = f"GPGGA,{stamp},{angle(latitude, 2)},{'N' if latitude >= 0 else 'S'}"
    text += f",{angle(longitude, 3)},{'E' if longitude >= 0 else 'W'},5,05,1.4,8.4,M,-32.2,M,,"
    sum_ = 0
    for character in text:
        sum_ ^= ord(character)
    return f"${text}*{sum_:02X}"


def drive(root: Path, away_m: float) -> CompetitionData:
    """smartphone-decimeter-2022 with two phones' drives and the log of a receiver, that far away from the answers."""
    data, rows = CompetitionData(root), []
    random_ = random.Random(3)
    for trip, phone in (("2021-08-24-US-SVL-2", "GooglePixel4XL"), ("2021-03-16-US-SJC-10", "XiaomiMi8")):
        latitude, longitude, lines = 37.37 + random_.random() / 10, -122.2 + random_.random() / 10, []
        for second in range(80):
            latitude += 1e-4 * math.cos(second / 20)
            longitude += 1e-4 * math.sin(second / 20)
            rows.append(f"{trip}-{phone},{1610347881083 + 1000 * second},{latitude:.13f},{longitude:.13f}")
            lines.append(f"$GPRMC,broken{second}")
            lines.append(nmea(latitude + away_m / 111_320, longitude, second))
        folder = data.public / "test" / trip / phone / "supplemental"
        folder.mkdir(parents=True)
        (folder / "span_log.nmea").write_text("\r\n".join(lines) + "\r\n")
        (folder / "gnss_log.txt").write_text("# Raw,1,2,3\n" + "Raw,1,2,3\n" * 50)
    data.private.mkdir()
    (data.private / "test.csv").write_text("\n".join(["tripId,UnixTimeMillis,LatitudeDegrees,LongitudeDegrees", *rows]))
    return data


def test_the_receiver_s_log_of_a_drive_is_found(registry, tmp_path):
    competition = registry.competition("smartphone-decimeter-2022")
    (finding,) = bad(audited(competition, drive(tmp_path / "near", 0.4)))
    assert (finding.rule, finding.severity) == ("answers-in-file", "serious")
    assert "holds positions within 5 m of 160 of 160 answers (LatitudeDegrees, LongitudeDegrees)" in finding.message
    assert finding.evidence[0].file.endswith("supplemental/span_log.nmea")
    assert finding.evidence[0].values["metres"] == pytest.approx(0.4, abs=0.05)
    assert bad(audited(competition, drive(tmp_path / "far", 300))) == []


GESTURES = ["vattene", "vieniqui", "perfetto", "furbo", "cheduepalle", "chevuoi", "daccordo", "seipazzo", "combinato"]


def recordings(root: Path, labels: str) -> CompetitionData:
    """multi-modal-gesture-recognition: recordings in zips in a tar, as published; labels kept, emptied or mixed."""
    data, random_ = CompetitionData(root), random.Random(5)
    data.public.mkdir(parents=True)
    data.private.mkdir()
    rows = []
    with tarfile.open(data.public / "test.tar.gz", "w:gz") as tar:
        for number in random_.sample(range(1, 900), 12):
            order = random_.sample(range(1, 10), random_.randrange(5, 10))
            rows.append(f"{number:04d},{' '.join(map(str, order))}")
            shown = random_.sample(order, len(order)) if labels == "mixed" else [] if labels == "none" else order
            kind = [("Name", object), ("Begin", object), ("End", object)]
            parts = np.zeros((1, len(shown)), dtype=kind)
            for at, gesture in enumerate(shown):
                parts[0, at] = (GESTURES[gesture - 1], 30 * at + 1, 30 * at + 25)
            video = {"NumFrames": 1254, "FrameRate": 20, "MaxDepth": 3975, "Labels": parts, "Frames": np.zeros((3, 4))}
            mat, inner = io.BytesIO(), io.BytesIO()
            scipy.io.savemat(mat, {"Video": video}, do_compression=True)
            with zipfile.ZipFile(inner, "w") as archive:
                archive.writestr(f"Sample{number:05d}_data.mat", mat.getvalue())
                archive.writestr(f"Sample{number:05d}_audio.wav", b"RIFF" + b"\1" * 60)
            info = tarfile.TarInfo(f"Sample{number:05d}.zip")
            info.size = len(inner.getvalue())
            tar.addfile(info, io.BytesIO(inner.getvalue()))
    (data.private / "test.csv").write_text("\n".join(["Id,Sequence", *rows]) + "\n")
    return data


def test_labels_in_the_recordings_of_matlab_are_found(registry, tmp_path):
    competition = registry.competition("multi-modal-gesture-recognition")
    (finding,) = bad(audited(competition, recordings(tmp_path / "as-published", "kept")))
    assert (finding.rule, finding.severity) == ("answers-in-file", "serious")
    assert "`Video.Labels.Name` is the answer, part by part, for 12 test ids (Sequence)" in finding.message
    assert "public/test.tar.gz!Sample" in finding.evidence[0].file
    for labels in ("none", "mixed"):
        assert bad(audited(competition, recordings(tmp_path / labels, labels))) == []
