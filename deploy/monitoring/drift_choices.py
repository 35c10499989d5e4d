"""What the panels of drift have in common: the choices above them, limits, the look of a reference."""

from batchproof_server.drift.comparing import ALERT_PSI, ALERT_PSI_SEVERE

VERSION = 'model="$model", version="$version"'
MODEL = f'{VERSION}, profile="$profile"'
SIGNAL = f'{MODEL}, signal="$signal"'
PSI_LIMITS = ((None, "green"), (ALERT_PSI, "orange"), (ALERT_PSI_SEVERE, "red"))
PSI_LINES = ((None, "transparent"), (ALERT_PSI, "orange"), (ALERT_PSI_SEVERE, "red"))
GREY = {"mode": "fixed", "fixedColor": "text"}
DASHED = {"fill": "dash", "dash": [6, 6]}
