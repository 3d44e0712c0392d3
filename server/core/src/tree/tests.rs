use super::*;

fn tree() -> Tree {
    Tree::new(TreeOptions {
        owner_rules: OwnerRules {
            extended_types: true,
            emulate_353: false,
        },
        ..TreeOptions::default()
    })
}

fn create(tree: &mut Tree, path: &str, data: &[u8], zxid: i64) -> Result<ZnodeId, ErrorCode> {
    let acl = AclList::open();
    let created = tree.create(&NewNode {
        path,
        data: Some(data),
        acl: &acl,
        owner: 0,
        parent_cversion: -1,
        zxid,
        time: 1_796_000_000_000 + zxid,
    });
    tree.advance(zxid);
    created
}

/// The digest from scratch.
fn recomputed(tree: &Tree) -> u64 {
    let mut sum = 0_u64;
    let mut open = vec![ZnodeId::ROOT];
    while let Some(id) = open.pop() {
        let node = tree.node(id);
        let path = tree.path_of(id);
        if !digest_excludes(&path) {
            let crc = prefix_crc(&path, node.data().map(|data| &**data));
            sum = sum.wrapping_add(node_digest(crc, node.stat()));
        }
        open.extend_from_slice(node.children());
    }
    sum
}

#[test]
fn a_fresh_tree_is_that_of_a_fresh_apache_server() {
    let tree = tree();
    assert_eq!(tree.digest(), 0x51c6_d660);
    assert_eq!(tree.node_count(), 5);
    assert_eq!(tree.all_children_number("/"), 3);
    assert_eq!(tree.stat_of(tree.get("/").unwrap()).cversion, -1);
    assert_eq!(tree.stat_of(tree.get("/zookeeper").unwrap()).cversion, -2);
    assert_eq!(tree.get("/zookeeper/config").unwrap().stat().aversion, -1);
}

#[test]
fn the_digest_after_a_create_is_apaches() {
    let mut tree = tree();
    let acl = AclList::open();
    let new = NewNode {
        path: "/a",
        data: Some(b""),
        acl: &acl,
        owner: 0,
        parent_cversion: 1,
        zxid: 2,
        time: 0x0000_01a2_0ae3_7e45,
    };
    tree.create(&new).unwrap();
    assert_eq!(tree.digest(), 0x1_3070_6f5d);
}

#[test]
fn the_root_has_two_names() {
    let mut tree = tree();
    create(&mut tree, "/a", b"", 1).unwrap();
    assert_eq!(tree.lookup(""), tree.lookup("/"));
    assert_eq!(tree.lookup("/a/"), None);
    assert_eq!(tree.lookup("a"), None);
    assert_eq!(tree.delete("/", 2), Err(ErrorCode::NoNode));
}

#[test]
fn replaying_a_create_keeps_the_later_parent_and_rebinds_the_acl() {
    let mut tree = tree();
    create(&mut tree, "/p", b"", 1).unwrap();
    create(&mut tree, "/p/c", b"x", 5).unwrap();
    let read_only = [AclEntry::world(1)];
    let again = NewNode {
        path: "/p/c",
        data: Some(b"old"),
        acl: &read_only,
        owner: 0,
        parent_cversion: 1,
        zxid: 3,
        time: 0,
    };
    assert_eq!(tree.create(&again), Err(ErrorCode::NodeExists));
    let node = tree.get("/p/c").unwrap();
    assert_eq!(&tree.acl_of(node)[..], &read_only[..]);
    assert_eq!(node.data().map(|d| &**d), Some(&b"x"[..]));
    assert_eq!(tree.get("/p").unwrap().stat().pzxid, 5);
}

#[test]
fn deleting_what_is_gone_still_raises_the_parents_pzxid() {
    let mut tree = tree();
    create(&mut tree, "/p", b"", 1).unwrap();
    assert_eq!(tree.delete("/p/c", 7), Err(ErrorCode::NoNode));
    assert_eq!(tree.get("/p").unwrap().stat().pzxid, 7);
    assert_eq!(tree.delete("/p/c", 4), Err(ErrorCode::NoNode));
    assert_eq!(tree.get("/p").unwrap().stat().pzxid, 7);
    assert_eq!(tree.digest(), recomputed(&tree));
}

#[test]
fn quota_statistics_follow_the_nodes_without_versions() {
    let mut tree = tree();
    create(&mut tree, "/q", b"abc", 1).unwrap();
    create(&mut tree, "/zookeeper/quota/q", b"", 2).unwrap();
    create(
        &mut tree,
        "/zookeeper/quota/q/zookeeper_limits",
        b"count=5,bytes=50",
        3,
    )
    .unwrap();
    create(
        &mut tree,
        "/zookeeper/quota/q/zookeeper_stats",
        b"count=0,bytes=0",
        4,
    )
    .unwrap();
    create(&mut tree, "/q/c", b"12345", 5).unwrap();
    tree.set_data("/q/c", Some(b"1"), 1, 6, 6).unwrap();
    let stats = tree.get("/zookeeper/quota/q/zookeeper_stats").unwrap();
    assert_eq!(stats.data().map(|d| &**d), Some(&b"count=2,bytes=4"[..]));
    assert_eq!((stats.stat().version, stats.stat().mzxid), (0, 4));
    assert_eq!(tree.digest(), recomputed(&tree));
}

/// Copies a tree by way of a snapshot, `step` nodes at a time, with `between` run in between.
fn copy(tree: &mut Tree, step: usize, mut between: impl FnMut(&mut Tree)) -> Tree {
    let mut cursor = SnapshotCursor::new(tree);
    let mut copy = Tree::for_loading(tree.options);
    for (id, acl) in tree.snapshot_acls() {
        copy.load_acl(id, &crate::acl::acl_to_wire(acl));
    }
    loop {
        let mut left = step;
        let more = cursor.advance(tree, |node| {
            copy.load_node(node.path, node.data, node.acl_id, *node.stat)
                .unwrap();
            left -= 1;
            left > 0
        });
        if !more {
            break;
        }
        between(tree);
    }
    copy.finish_loading(cursor.start_zxid(), None);
    copy
}

#[test]
fn a_snapshot_of_a_quiet_tree_is_the_tree() {
    let mut tree = tree();
    for i in 0..300 {
        create(&mut tree, &format!("/n{i}"), b"data", i + 1).unwrap();
        create(
            &mut tree,
            &format!("/n{i}/child-with-a-rather-long-name-{i}"),
            b"",
            i + 1,
        )
        .unwrap();
    }
    for step in [1, 7, 1000] {
        let copied = copy(&mut tree, step, |_| {});
        assert_eq!(copied.digest(), tree.digest());
        assert_eq!(copied.node_count(), tree.node_count());
        assert_eq!(copied.approximate_data_size(), tree.approximate_data_size());
    }
}

proptest::proptest! {
    /// Random changes: the digest, the counts and every look-up agree with a naive model.
    #[test]
    fn the_tree_agrees_with_a_map(ops in proptest::collection::vec((0..4_u8, 0..4_u8, 0..4_u8, 0..3_u8), 0..200)) {
        let mut tree = tree();
        let mut model = std::collections::BTreeMap::from([
            ("/zookeeper".to_owned(), vec![]), ("/zookeeper/quota".to_owned(), vec![]),
            ("/zookeeper/config".to_owned(), vec![])]);
        for (zxid, (op, a, b, depth)) in ops.into_iter().enumerate() {
            let zxid = i64::try_from(zxid).unwrap() + 1;
            let path = match depth { 0 => format!("/{a}"), 1 => format!("/{a}/{b}"), _ => format!("/{a}/{b}/{a}{b}") };
            let parent = parent_path(&path).to_owned();
            let data = vec![a; usize::from(b) * 5];
            match op {
                0 | 1 => {
                    let expected = if !parent.is_empty() && !model.contains_key(&parent) {
                        Err(ErrorCode::NoNode)
                    } else if model.contains_key(&path) { Err(ErrorCode::NodeExists) } else { Ok(()) };
                    proptest::prop_assert_eq!(create(&mut tree, &path, &data, zxid).map(|_| ()), expected);
                    if expected.is_ok() { model.insert(path, data); }
                }
                2 => {
                    let has_child = model.keys().any(|p| p.starts_with(&format!("{path}/")));
                    let expected = if !model.contains_key(&path) { Err(ErrorCode::NoNode) }
                        else if has_child { Err(ErrorCode::NotEmpty) } else { Ok(()) };
                    proptest::prop_assert_eq!(tree.delete(&path, zxid).map(|_| ()), expected);
                    if expected.is_ok() { model.remove(&path); }
                }
                _ => {
                    let set = tree.set_data(&path, Some(&data), 1, zxid, zxid).is_ok();
                    proptest::prop_assert_eq!(set, model.contains_key(&path));
                    if set { model.insert(path, data); }
                }
            }
        }
        proptest::prop_assert_eq!(tree.digest(), recomputed(&tree));
        proptest::prop_assert_eq!(tree.node_count(), model.len() + 2);
        for (path, data) in &model {
            let id = tree.lookup(path).unwrap();
            proptest::prop_assert_eq!(&tree.path_of(id), path);
            proptest::prop_assert_eq!(tree.node(id).data().map(|d| d.to_vec()), Some(data.clone()));
        }
        let bytes: usize = model.iter().map(|(path, data)| path.len() + data.len()).sum();
        proptest::prop_assert_eq!(tree.approximate_data_size(), i64::try_from(bytes + 1).unwrap());
    }
}
