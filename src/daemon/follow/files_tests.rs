//! What is told of files while they are read.

use std::io::Write;

use super::*;
use crate::files::{PathSpace, SpaceMount};
use crate::filter::{FilterSpec, Library};

const LINE: &[u8] = b"Login failed from 203.0.113.9\n";

#[tokio::test]
async fn a_reader_without_a_pause_tells_how_far_behind_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = std::fs::File::create(folder.path().join("app.log")).unwrap();
    log.write_all(&LINE.repeat(20_000)).unwrap();
    let spec = FilterSpec { failregex: vec!["from <HOST>$".into()], ..FilterSpec::default() };
    let (reports, mut reported) = mpsc::channel(1);
    let (state, states) = watch::channel(FollowerState::default());
    let cancel = CancellationToken::new();
    let follower = Follower {
        jail: "web".parse().unwrap(),
        filter: Library::default().get(&spec).unwrap(),
        find_time: Duration::from_secs(600),
        zone: TimeZone::UTC,
        reports,
        state,
        noticed: Default::default(),
        counters: Arc::default(),
        cancel: cancel.clone(),
    };
    let space = PathSpace::new(vec![SpaceMount {
        destination: "/logs".into(),
        host: "/srv/logs".into(),
        here: Some(folder.path().to_owned()),
        remedy: None,
    }]);
    let reader = FileReader::new(space, vec!["/logs/app.log".into()], HashMap::new());
    let task = tokio::spawn(async move { follower.files(reader, &Came::new()).await });
    // For each line that it has judged there is another one: it never comes to the end.
    let is_told = async {
        while states.borrow().files.iter().all(|file| file.behind == 0) {
            reported.recv().await.unwrap();
            log.write_all(LINE).unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), is_told).await.expect("it is told meanwhile");
    cancel.cancel();
    while reported.recv().await.is_some() {}
    task.await.unwrap();
}
