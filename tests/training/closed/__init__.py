"""Trainings of infinitely wide networks that are solved without sampling: what sampled trainings are compared with.

Only numpy and scipy are used, nothing of `tpl`: agreement with these modules is agreement of two independent programs.
"""
