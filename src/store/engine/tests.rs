//! The same demands on every engine, with the sorted map as the oracle.

use std::collections::BTreeMap;

use super::*;

/// The operations of the seam at random, each answer compared with a plain map's.
fn conforms(engine: &Engine, seed: u64, steps: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for _ in 0..steps {
        match random.u8(0..8) {
            0..=2 => {
                let run: BTreeMap<Vec<u8>, Option<Vec<u8>>> = (0..random.usize(1..60))
                    .map(|_| (key(&mut random), value(&mut random)))
                    .collect();
                let changes = run.iter().map(|(k, v)| (k.as_slice(), v.as_deref()));
                let count = engine.insert_sorted(changes).unwrap();
                assert_eq!(count, run.len() as u64);
                for (key, value) in run {
                    match value {
                        Some(value) => model.insert(key, value),
                        None => model.remove(&key),
                    };
                }
            }
            3..=4 => {
                let key = key(&mut random);
                let got = engine.get(&key).unwrap();
                assert_eq!(got.as_deref(), model.get(&key).map(Vec::as_slice));
            }
            5 => {
                let keys: Vec<_> = (0..20).map(|_| key(&mut random)).collect();
                let got: Vec<_> = keys.iter().map(|key| engine.get(key).unwrap()).collect();
                for (key, got) in keys.iter().zip(got) {
                    assert_eq!(got.as_deref(), model.get(key).map(Vec::as_slice));
                }
            }
            6 => {
                let mut prefix = key(&mut random);
                prefix.truncate(random.usize(0..3));
                let after = random.bool().then(|| key(&mut random));
                scan_agrees(engine, &model, &prefix, after.as_deref());
            }
            _ => engine.flush().unwrap(),
        }
    }
    scan_agrees(engine, &model, b"", None);
    model
}

fn scan_agrees(
    engine: &Engine,
    model: &BTreeMap<Vec<u8>, Vec<u8>>,
    prefix: &[u8],
    after: Option<&[u8]>,
) {
    let got: Vec<(Vec<u8>, Vec<u8>)> = engine
        .scan(prefix, after)
        .map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())).unwrap())
        .collect();
    let expected: Vec<(Vec<u8>, Vec<u8>)> = model
        .iter()
        .filter(|(k, _)| k.starts_with(prefix) && after.is_none_or(|after| k.as_slice() > after))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    assert_eq!(got, expected);
}

fn key(random: &mut fastrand::Rng) -> Vec<u8> {
    let len = random.usize(1..12);
    std::iter::once(*random.choice(b"cem").unwrap())
        .chain((0..len).map(|_| random.u8(0..6)))
        .collect()
}

fn value(random: &mut fastrand::Rng) -> Option<Vec<u8>> {
    let len = random.usize(0..400);
    random.bool().then(|| std::iter::repeat_with(|| random.u8(..)).take(len).collect())
}

#[test]
fn memory_conforms() {
    for seed in 0..20 {
        conforms(&Engine::memory(), seed, 400);
    }
}

#[test]
fn sled_conforms_and_keeps_what_was_flushed() {
    for seed in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sled");
        let engine = Engine::open(&path, 8 << 20).unwrap();
        let model = conforms(&engine, seed, 300);
        engine.flush().unwrap();
        assert!(engine.stats().unwrap().disk_bytes > 0);
        drop(engine);
        scan_agrees(&Engine::open(&path, 8 << 20).unwrap(), &model, b"", None);
    }
}

#[test]
fn a_value_past_the_bound_is_refused() {
    let value = vec![0; VALUE_BYTES_MAX + 1];
    let error =
        Engine::memory().insert_sorted([(b"c".as_slice(), Some(value.as_slice()))]).unwrap_err();
    assert!(matches!(error, EngineError::ValueTooLarge { .. }));
}

#[test]
fn an_engine_in_use_is_locked_and_not_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let _held = Engine::open(dir.path(), 1 << 20).unwrap();
    let error = Engine::open(dir.path(), 1 << 20).unwrap_err();
    assert!(matches!(error, EngineError::Locked { .. }), "{error}");
    assert!(!error.is_damage());
}

#[test]
fn a_refusal_of_sled_is_damage_and_moving_aside_starts_afresh() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sled");
    drop(Engine::open(&path, 1 << 20).unwrap());
    std::fs::write(path.join("conf"), b"not sled's").unwrap();
    let error = Engine::open(&path, 1 << 20).unwrap_err();
    assert!(error.is_damage(), "{error}");
    move_aside(&path).unwrap();
    assert!(dir.path().join("sled.damaged/conf").exists());
    drop(Engine::open(&path, 1 << 20).unwrap());
    // A second time leaves only the last one.
    move_aside(&path).unwrap();
    drop(Engine::open(&path, 1 << 20).unwrap());
}

#[test]
fn a_panic_is_damage() {
    let error = guarded::<()>(Path::new("x"), || panic!("page {}", 7)).unwrap_err();
    assert!(error.is_damage());
    assert!(error.to_string().contains("page 7"), "{error}");
}
