from tunesmith.core.events import Suggested
from tunesmith.core.experiment import Experiment
from tunesmith.searchers.listed import ListedConfigs


def test_each_config_of_the_list_is_proposed_once_in_order():
    searcher, experiment = ListedConfigs([{"x": 1}, {"x": 2}, {"x": 3}]), Experiment()

    assert searcher.suggest(2, experiment) == searcher.suggest(2, experiment) == [{"x": 1}, {"x": 2}]
    experiment.apply(Suggested(at=0.0, configs=({"x": 1}, {"x": 2})))
    assert not searcher.is_exhausted(experiment)
    assert searcher.suggest(5, experiment) == [{"x": 3}]
    experiment.apply(Suggested(at=0.0, configs=({"x": 3},)))
    assert searcher.is_exhausted(experiment)
    assert searcher.suggest(5, experiment) == []
