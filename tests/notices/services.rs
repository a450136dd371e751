//! Each service, played by a server that takes only what the service's documents allow.

use serde_json::{Value, json};

use crate::receiver::{Answer, Seen};
use crate::support::*;
use crate::world::{World, target, told};

/// What a service answers.
type Server = fn(&Seen) -> Answer;

/// docs.ntfy.sh/publish, "Publish as JSON".
fn ntfy(seen: &Seen) -> Answer {
    if seen.header("authorization") != "Bearer tk_SECRET" {
        return Answer::new(
            401,
            json!({"code": 40101, "http": 401, "error": "unauthorized"}).to_string(),
        );
    }
    let priority = seen.body["priority"].as_u64().unwrap_or(0);
    let tags = seen.body["tags"].as_array().is_some_and(|tags| tags.iter().all(Value::is_string));
    let good = seen.path == "/"
        && seen.text("topic") == "SECRET-topic"
        && !seen.text("title").is_empty()
        && (1..=4096).contains(&seen.text("message").len())
        && (1..=5).contains(&priority)
        && tags;
    match good {
        true => Answer::new(200, json!({"id": "hwQ2YpKdmg", "event": "message"}).to_string()),
        false => Answer::new(400, json!({"code": 40024, "error": "invalid request"}).to_string()),
    }
}

/// gotify.net/api-docs, `POST /message`.
fn gotify(seen: &Seen) -> Answer {
    let error = |code: u16, what: &str| {
        let body = json!({"error": what, "errorCode": code, "errorDescription": what});
        Answer::new(code, body.to_string())
    };
    if seen.header("x-gotify-key") != "ASECRET.token" {
        return error(401, "Unauthorized");
    }
    let plain = &seen.body["extras"]["client::display"]["contentType"];
    let good = seen.path == "/sub/message"
        && !seen.text("message").is_empty()
        && seen.body["priority"].is_u64()
        && plain == "text/plain";
    if good { Answer::new(200, json!({"id": 25}).to_string()) } else { error(400, "Bad Request") }
}

/// discord.com/developers/docs/resources/webhook, "Execute Webhook".
fn discord(seen: &Seen) -> Answer {
    let length = seen.text("content").chars().count();
    let good = seen.path == "/api/webhooks/1234/SECRET-token"
        && (1..=2000).contains(&length)
        && seen.body["allowed_mentions"] == json!({"parse": []});
    let wrong = json!({"code": 50035, "message": "Invalid Form Body"});
    if good { Answer::new(204, "") } else { Answer::new(400, wrong.to_string()) }
}

/// docs.slack.dev, "Sending messages using incoming webhooks".
fn slack(seen: &Seen) -> Answer {
    let good = seen.path == "/services/T0/B0/SECRETslack" && !seen.text("text").is_empty();
    if good { Answer::new(200, "ok") } else { Answer::new(400, "invalid_payload") }
}

/// developers.mattermost.com/integrate/webhooks/incoming, and what its server does to a text
/// before it is shown: Slack's announcements become mentions.
fn mattermost(seen: &Seen) -> Answer {
    let text = seen.text("text").replace("<!channel>", "@channel").replace("<!all>", "@all");
    let good = seen.path == "/sub/hooks/SECRETmattermost"
        && (1..=4000).contains(&text.chars().count())
        && is_one_block(&text);
    if good { Answer::new(200, "ok") } else { Answer::new(400, "Unable to parse incoming data.") }
}

/// docs.rocket.chat, "Incoming webhook": the text, and whether its links have previews.
fn rocketchat(seen: &Seen) -> Answer {
    let text = seen.text("text");
    let good = seen.path == "/hooks/6a0c/SECRETrocket"
        && (1..=5000).contains(&text.chars().count())
        && seen.body["parseUrls"] == false
        && is_one_block(text);
    let body = json!({"success": good});
    Answer::new(if good { 200 } else { 400 }, body.to_string())
}

/// Is all of it within one block of code, in which nothing means anything, and without
/// what a server may take for a mention even there?
fn is_one_block(text: &str) -> bool {
    let inside = text.strip_prefix("```\n").and_then(|text| text.strip_suffix("\n```"));
    let mention = |text: &str| {
        text.split('@').skip(1).any(|after| after.starts_with(|c: char| c.is_alphanumeric()))
    };
    inside.is_some_and(|inside| !inside.contains("```") && !mention(inside))
}

/// core.telegram.org/bots/api, "sendMessage".
fn telegram(seen: &Seen) -> Answer {
    let error = |code: u16, what: &str| {
        let body = json!({"ok": false, "error_code": code, "description": what});
        Answer::new(code, body.to_string())
    };
    if seen.path != "/bot123:SECRETtelegram/sendMessage" {
        return error(404, "Not Found");
    }
    let length = seen.text("text").encode_utf16().count();
    let good = seen.text("chat_id") == "-100200300" && (1..=4096).contains(&length);
    match good && seen.body.get("parse_mode").is_none() {
        true => Answer::new(200, json!({"ok": true, "result": {"message_id": 1}}).to_string()),
        false => error(400, "Bad Request: chat not found"),
    }
}

/// Whatever; with a login.
fn webhook(seen: &Seen) -> Answer {
    // me:SECRET
    let good =
        seen.path == "/SECRET-hook?x=1" && seen.header("authorization") == "Basic bWU6U0VDUkVU";
    // A server that tells more than it should.
    let echo = format!("{} {}", seen.path, seen.header("authorization"));
    Answer::new(if good { 200 } else { 403 }, echo)
}

#[test]
fn each_service_gets_what_it_wants_and_nothing_shows_a_secret() {
    let Some(world) = World::new("each_service_gets_what_it_wants_and_nothing_shows_a_secret")
    else {
        return;
    };
    let services: [(&str, Server); 8] = [
        ("ntfy", ntfy),
        ("gotify", gotify),
        ("discord", discord),
        ("slack", slack),
        ("telegram", telegram),
        ("webhook", webhook),
        ("mattermost", mattermost),
        ("rocketchat", rocketchat),
    ];
    let receivers = services.map(|(name, answer)| (name, world.receiver(answer)));
    let port = |name: &str| {
        let of_name = receivers.iter().find(|(known, _)| *known == name);
        of_name.unwrap().1.port
    };
    let in_variable = format!(
        "ntfy+http://tk_SECRET@127.0.0.1:{}/SECRET-topic gotify+http://127.0.0.1:{}/sub/ASECRET.token
         discord+http://127.0.0.1:{}/api/webhooks/1234/SECRET-token
         mattermost+http://127.0.0.1:{}/sub/hooks/SECRETmattermost
         rocketchat+http://127.0.0.1:{}/hooks/6a0c/SECRETrocket",
        port("ntfy"), port("gotify"), port("discord"), port("mattermost"), port("rocketchat"),
    );
    let in_file = format!(
        "# the others\nslack+http://127.0.0.1:{}/services/T0/B0/SECRETslack\n
         telegram+http://127.0.0.1:{}/123:SECRETtelegram/-100200300\n
         http://me:SECRET@127.0.0.1:{}/SECRET-hook?x=1&events=banned,unbanned,engine\n",
        port("slack"),
        port("telegram"),
        port("webhook"),
    );
    let file = world.folder().join("targets");
    std::fs::write(&file, in_file).unwrap();
    // Where nothing can listen, by a name that means harm.
    let hostile = format!("unix:{}/@all <!channel> ``` ![](http://e)", file.display());
    let mut guard = world.guard(
        &in_variable,
        &[("GUARD_NOTIFY_FILE", &file.display().to_string()), ("GUARD_METRICS", &hostile)],
    );

    // There is no engine: that is the first that they hear.
    for (name, receiver) in &receivers {
        let seen = receiver.gets(&["nowhere"]);
        assert_eq!(
            (seen.method.as_str(), seen.header("content-type")),
            ("POST", "application/json"),
            "{name}"
        );
    }
    for (name, receiver) in receivers.iter().filter(|(name, _)| *name != "webhook") {
        let seen = receiver.gets(&["metrics can't be served at unix:"]);
        assert!(seen.body.to_string().contains("http://e"), "{name}: {seen:?}");
    }
    let tested = guard.ctl(&["notify", "test"]);
    assert_eq!((tested.code, tested.out.lines().count()), (Some(0), 8), "{tested:?}");
    for (_, receiver) in &receivers {
        receiver.gets(&["This is a test"]);
    }
    guard.ctl_ok(&["ban", "203.0.113.9"]);
    guard.ctl_ok(&["unban", "203.0.113.9"]);
    for (_, receiver) in &receivers {
        receiver.gets(&["203.0.113.9", "Ban "]);
        receiver.gets(&["203.0.113.9", "Unban "]);
    }
    let hook = &receivers[5].1;
    eventually("all is sent", || {
        let target = target(&guard, "webhook");
        ensure(target["waiting"] == 0 && target["sent"].as_u64() >= Some(3), target)
    });
    assert_eq!(
        (told(&hook.bodies(), "unbanned"), target(&guard, "ntfy")["failed"].as_u64()),
        (1, Some(0))
    );

    for name in ["discord", "mattermost", "rocketchat"] {
        let target = target(&guard, name);
        assert_eq!((target["failed"].as_u64(), target["dropped"].as_u64()), (Some(0), Some(0)));
    }

    // One that is not taken is said so, by the exit code too.
    let one = guard.ctl(&["notify", "test", "gotifi"]);
    assert!(one.code == Some(1) && one.err.contains("did you mean `gotify`?"), "{one:?}");
    let json = guard.json(&["notify", "test", "slack"]);
    assert_eq!(
        (json["targets"][0]["ok"].as_bool(), json["targets"][0]["answer"].as_str()),
        (Some(true), Some("HTTP 200: ok"))
    );
    guard.set("GUARD_NOTIFY", &in_variable.replace("tk_SECRET", "tk_SECRETwrong"));
    guard.sigterm();
    guard.start_again();
    let tested = guard.ctl(&["notify", "test", "ntfy"]);
    assert!(tested.code == Some(1) && tested.err.contains("unauthorized"), "{tested:?}");

    let shown = [
        guard.whole_log(),
        format!("{tested:?}"),
        format!("{:?}", guard.ctl(&["status"])),
        format!("{:?}", guard.ctl(&["status", "--json"])),
        format!("{:?}", guard.ctl(&["notify", "test", "--json"])),
        format!("{:?}", guard.ctl(&["doctor", "--json"])),
    ];
    for text in shown {
        assert!(!text.contains("SECRET") && !text.contains("bWU6U0VDUkVU"), "{text}");
    }
}

#[test]
fn who_is_away_or_wants_rest_gets_all_of_it_later() {
    let Some(world) = World::new("who_is_away_or_wants_rest_gets_all_of_it_later") else { return };
    let (away, well) = (world.free_port(), world.willing());
    let busy = world.receiver({
        let first = std::sync::atomic::AtomicBool::new(true);
        move |_| match first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            true => Answer::new(429, "slowly").header("Retry-After", "3"),
            false => Answer::new(200, "ok"),
        }
    });
    let only = "events=banned";
    let guard = world.guard(
        &format!(
            "http://127.0.0.1:{away}/?name=away&{only} http://127.0.0.1:{}/?name=busy&{only} http://127.0.0.1:{}/?name=well&{only}",
            busy.port, well.port
        ),
        &[],
    );
    for n in 1..=15 {
        guard.ctl_ok(&["ban", &format!("203.0.113.{n}")]);
    }
    eventually("one has all", || {
        let count = told(&well.bodies(), "banned");
        ensure(count == 15, count)
    });
    eventually("a try has failed, and all waits", || {
        let target = target(&guard, "away");
        let refused = target["last_error"].as_str().is_some_and(|why| why.contains("refused"));
        ensure(refused && target["waiting"] == 15, target)
    });
    let listener =
        world.network.enter(|| std::net::TcpListener::bind(("127.0.0.1", away))).unwrap();
    let back = crate::receiver::Receiver::on(listener, |_| Answer::new(200, "ok"));
    for receiver in [&back, &busy] {
        eventually("it is told all", || {
            let all = receiver.bodies();
            let taken =
                if std::ptr::eq(receiver, &busy) { &all[1.min(all.len())..] } else { &all[..] };
            let count = told(taken, "banned");
            ensure(count == 15, count)
        });
    }
    eventually("it is well", || {
        let target = target(&guard, "away");
        ensure(
            target["waiting"] == 0 && target["sent"] == 15 && target["last_error"].is_null(),
            target,
        )
    });
    assert!(guard.whole_log().contains("notices to away (webhook at 127.0.0.1"), "{}", guard.log());
}
