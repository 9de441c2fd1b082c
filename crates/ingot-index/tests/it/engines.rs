//! One suite that every engine passes.

use ingot_index::engine::{Batch, Direction, Engine, fjall::Fjall, memory::Memory, sled::Sled};

fn batch(writes: &[(&str, Option<&str>)]) -> Batch {
    let own = |text: &str| text.as_bytes().to_vec();
    Batch { writes: writes.iter().map(|(key, value)| (own(key), value.map(own))).collect() }
}

fn keys(engine: &dyn Engine, space: &str, direction: Direction, limit: usize) -> Vec<String> {
    let pairs = engine.scan(space, b"b", b"d", direction, limit).expect("scan");
    pairs.into_iter().map(|(key, _)| String::from_utf8(key).expect("text")).collect()
}

fn suite(engine: &dyn Engine) {
    use Direction::{Backward, Forward};
    assert_eq!(engine.get("p", b"a").expect("get"), None, "nothing is there before");
    assert!(keys(engine, "p", Forward, 9).is_empty());
    engine.drop_space("p").expect("dropping what is not there is nothing");

    let all = ["a", "b", "ba", "c", "d"];
    engine.apply("p", &batch(&all.map(|key| (key, Some(key))))).expect("apply");
    engine.apply("q", &batch(&[("b", Some("of q")), ("empty", Some(""))])).expect("apply");
    assert_eq!(engine.get("p", b"b").expect("get").as_deref(), Some(b"b".as_slice()));
    assert_eq!(engine.get("q", b"b").expect("get").as_deref(), Some(b"of q".as_slice()));
    assert_eq!(engine.get("q", b"empty").expect("get").as_deref(), Some(b"".as_slice()));
    assert_eq!(engine.get("q", b"a").expect("get"), None, "spaces are apart");

    assert_eq!(keys(engine, "p", Forward, 9), ["b", "ba", "c"], "the end is not included");
    assert_eq!(keys(engine, "p", Backward, 9), ["c", "ba", "b"]);
    assert_eq!(keys(engine, "p", Forward, 2), ["b", "ba"]);
    assert_eq!(keys(engine, "p", Backward, 2), ["c", "ba"]);
    assert!(keys(engine, "p", Forward, 0).is_empty());
    assert!(engine.scan("p", b"d", b"a", Forward, 9).expect("scan").is_empty(), "upside down");
    assert!(engine.scan("p", b"b", b"b", Forward, 9).expect("scan").is_empty());

    engine.apply("p", &batch(&[("b", None), ("c", Some("new")), ("gone", None)])).expect("apply");
    assert_eq!(keys(engine, "p", Forward, 9), ["ba", "c"]);
    assert_eq!(engine.get("p", b"c").expect("get").as_deref(), Some(b"new".as_slice()));

    engine.drop_space("p").expect("drop");
    assert_eq!(engine.get("p", b"c").expect("get"), None);
    assert!(keys(engine, "p", Forward, 9).is_empty());
    assert_eq!(engine.get("q", b"b").expect("get").as_deref(), Some(b"of q".as_slice()));
    engine.apply("p", &batch(&[("c", Some("again"))])).expect("apply");
    assert_eq!(keys(engine, "p", Forward, 9), ["c"], "what was dropped does not come back");
}

/// What was written is there when the engine is opened again, and what was dropped is not.
fn reopened(open: impl Fn() -> Box<dyn Engine>) {
    {
        let engine = open();
        engine.apply("p", &batch(&[("b", Some("old"))])).expect("apply");
        engine.apply("q", &batch(&[("b", Some("kept"))])).expect("apply");
        engine.drop_space("p").expect("drop");
        engine.apply("p", &batch(&[("c", Some("new"))])).expect("apply");
    }
    let engine = open();
    assert_eq!(keys(&*engine, "p", Direction::Forward, 9), ["c"]);
    assert_eq!(keys(&*engine, "q", Direction::Forward, 9), ["b"]);
}

#[test]
fn memory() {
    suite(&Memory::default());
}

#[test]
fn fjall() {
    let dir = tempfile::tempdir().expect("directory");
    suite(&Fjall::open(dir.path()).expect("opens"));
    let dir = tempfile::tempdir().expect("directory");
    reopened(|| Box::new(Fjall::open(dir.path()).expect("opens")));
}

#[test]
fn sled() {
    let dir = tempfile::tempdir().expect("directory");
    suite(&Sled::open(dir.path()).expect("opens"));
    let dir = tempfile::tempdir().expect("directory");
    reopened(|| Box::new(Sled::open(dir.path()).expect("opens")));
}
