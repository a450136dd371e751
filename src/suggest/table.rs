//! Images that people run, and what of guard's fits them.

/// What is known of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its names: the last part of the image's name, or owner and name.
    pub(super) images: &'static [&'static str],
    /// guard's filter.
    pub filter: &'static str,
    /// Where it logs: `None`, to its output; else the usual path of the file.
    pub log: Option<&'static str>,
    /// What is to be set up so that it logs what the filter needs.
    pub note: Option<&'static str>,
}

const fn output(images: &'static [&'static str], filter: &'static str) -> Known {
    Known { images, filter, log: None, note: None }
}

const fn file(images: &'static [&'static str], filter: &'static str, log: &'static str) -> Known {
    Known { images, filter, log: Some(log), note: None }
}

const fn with(known: Known, note: &'static str) -> Known {
    Known { note: Some(note), ..known }
}

/// The first that fits counts, so owner and name go before the name alone.
pub(super) const TABLE: &[Known] = &[
    file(&["linuxserver/nextcloud"], "nextcloud", "/data/nextcloud.log"),
    file(&["nextcloud", "nextcloud-fpm"], "nextcloud", "/var/www/html/data/nextcloud.log"),
    file(&["owncloud/server"], "owncloud", "/mnt/data/files/owncloud.log"),
    output(&["vaultwarden", "vaultwarden/server", "bitwardenrs/server"], "vaultwarden"),
    file(
        &["bitwarden/self-host", "bitwarden/identity"],
        "bitwarden",
        "/etc/bitwarden/logs/identity/Identity/log.txt",
    ),
    with(output(&["gitea"], "gitea"), "in app.ini: [log] MODE = console, LEVEL = Info"),
    with(output(&["forgejo"], "forgejo"), "in app.ini: [log] MODE = console, LEVEL = Info"),
    file(
        &["gitlab-ce", "gitlab-ee"],
        "gitlab",
        "/var/log/gitlab/gitlab-rails/application_json.log",
    ),
    output(&["authelia"], "authelia"),
    output(&["goauthentik/server"], "authentik"),
    with(
        output(&["keycloak"], "keycloak"),
        "failed logins are logged by the jboss-logging listener at the level WARN or DEBUG",
    ),
    output(&["jellyfin"], "jellyfin"),
    output(&["embyserver", "linuxserver/emby"], "emby"),
    output(&["home-assistant", "homeassistant"], "homeassistant"),
    output(&["openhab"], "openhab"),
    output(&["grafana", "grafana-oss", "grafana-enterprise"], "grafana"),
    output(&["immich-server"], "immich"),
    output(&["audiobookshelf"], "audiobookshelf"),
    output(&["calibre-web", "calibre-web-automated"], "calibre-web"),
    output(&["paperless-ngx"], "paperless"),
    output(&["uptime-kuma"], "uptime-kuma"),
    output(&["adguardhome"], "adguard"),
    output(&["gotify/server", "gotify/server-arm7", "gotify/server-arm64"], "gotify"),
    with(output(&["miniflux"], "miniflux"), "set LOG_DATE_TIME=1 in its environment"),
    output(&["guacamole"], "guacamole"),
    with(
        output(&["traefik"], "traefik-auth"),
        "Traefik writes an access log only if asked: --accesslog=true",
    ),
    with(
        output(&["caddy"], "caddy-access"),
        "Caddy writes an access log only if asked: `log` in the site's block",
    ),
    file(&["linuxserver/swag"], "nginx-http-auth", "/config/log/nginx/error.log"),
    file(&["nginx-proxy-manager"], "nginx-http-auth", "/data/logs/*_error.log"),
    output(&["nginx", "nginx-unprivileged", "nginx-proxy", "linuxserver/nginx"], "nginx-http-auth"),
    output(&["httpd"], "apache-auth"),
    with(
        output(&["haproxy"], "haproxy-http-auth"),
        "in haproxy.cfg: log stdout format raw local0, option httplog",
    ),
    output(&["wordpress"], "wordpress"),
    output(&["phpmyadmin"], "phpmyadmin"),
    output(&["roundcubemail"], "roundcube-auth"),
    file(&["docker-mailserver"], "dovecot", "/var/log/mail/mail.log"),
    output(&["dovecot"], "dovecot"),
    output(&["postfix", "boky/postfix"], "postfix"),
    with(
        output(&["postgres", "postgis", "timescaledb"], "postgres"),
        "the address must be logged: command: -c log_line_prefix='%m [%p] %h %u@%d '",
    ),
    output(&["mysql", "mysql-server", "mariadb", "linuxserver/mariadb"], "mysqld-auth"),
    with(
        file(&["openssh-server"], "sshd", "/config/logs/openssh/current"),
        "other images than linuxserver's write to the output: leave the logpath out",
    ),
    with(output(&["eclipse-mosquitto"], "mosquitto"), "in mosquitto.conf: log_dest stdout"),
    output(&["asterisk"], "asterisk"),
    output(&["vsftpd"], "vsftpd"),
    output(&["proftpd"], "proftpd"),
    output(&["pure-ftpd"], "pure-ftpd"),
    output(&["squid"], "squid"),
    output(&["lighttpd"], "lighttpd-auth"),
];

/// Filters that find much that is no failed login: they are suggested only for images
/// that are known for them.
pub(super) const LOOSE: &[&str] = &[
    "apache-badbots",
    "apache-botsearch",
    "apache-noscript",
    "apache-overflows",
    "caddy-access",
    "gotify",
    "haproxy-access",
    "nginx-4xx",
    "nginx-bad-request",
    "nginx-botsearch",
    "nginx-forbidden",
    "nginx-limit-req",
    "openhab",
    "pam-generic",
    "php-url-fopen",
    "recidive",
    "suhosin",
    "traefik-access",
    "werkzeug",
];
