"""Every sample keeps what a competition must keep."""

from mleb_core.testing import CompetitionContract


class TestBreastMassDiagnosis(CompetitionContract):
    id = "breast-mass-diagnosis"


class TestDiabetesProgression(CompetitionContract):
    id = "diabetes-progression"


class TestDiamondClarity(CompetitionContract):
    id = "diamond-clarity"


class TestFlightArrivalDelay(CompetitionContract):
    id = "flight-arrival-delay"


class TestHandwrittenDigits(CompetitionContract):
    id = "handwritten-digits"


class TestKingJamesVerses(CompetitionContract):
    id = "king-james-verses"


class TestLaguardiaWeather(CompetitionContract):
    id = "laguardia-weather"


class TestTitanicSurvival(CompetitionContract):
    id = "titanic-survival"
