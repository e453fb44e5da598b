# SPDX-License-Identifier: ISC
"""X"""



