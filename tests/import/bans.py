"""A database as fail2ban's server makes it, with a few bans."""
import sys
import time

from fail2ban.server.database import Fail2BanDb
from fail2ban.server.ticket import FailTicket


class Jail:
    def __init__(self, name):
        self.name = name
        self.actions = self

    def getBanTime(self):
        return 600


db = Fail2BanDb(sys.argv[1])
now = int(sys.argv[2])
for jail, ip, start, length, count in [
    ("sshd", "192.0.2.1", now - 100, 600, 1),
    ("sshd", "192.0.2.2", now - 100, -1, 3),
    ("web", "2001:db8::1", now - 100, 3600, 2),
    ("web", "192.0.2.3", now - 5000, 600, 1),
    ("web", "192.0.2.3", now - 1000, 60, 2),
]:
    jail = Jail(jail)
    db.addJail(jail)
    ticket = FailTicket(ip, start, ["a line"])
    ticket.setBanTime(length)
    ticket.setBanCount(count)
    db.addBan(jail, ticket)
print(time.time())
sys.stdin.read()
