# Where the kernel can, one socket serves IPv4 and IPv6.
import socket

bind = "[::]:8000" if socket.has_dualstack_ipv6() else "0.0.0.0:8000"
workers = 1
threads = 4
worker_tmp_dir = "/dev/shm"
