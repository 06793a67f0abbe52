"""How fast is it, beside the alternatives? ``make bench``, ``make bench ONLY=audit,publish``.

Every case is measured on all its sides in the same run, in turns and more than once; what is
compared is one side with another within the same repeat. What each case compares, and what must be
reached, stands in ``cases``; what the programs do that are measured, in ``site``.
"""
