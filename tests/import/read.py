"""What fail2ban's own reader makes of a configuration: the commands for its server, as JSON."""
import json
import sys

from fail2ban.client.jailsreader import JailsReader

folder, force = sys.argv[1], sys.argv[2] == "all"
reader = JailsReader(basedir=folder, force_enable=force)
if not reader.read() or not reader.getOptions(None):
    sys.exit("fail2ban can't read it")
print(json.dumps(reader.convert(allow_no_files=True)))
