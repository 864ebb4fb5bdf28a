"""The cases, a module a profile. `pytest --pyargs kit_conformance.cases --subject …` runs them."""
