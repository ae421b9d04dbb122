//! A small graph for tests and examples.

use super::builder::Builder;

/// A program with a cache in a static, a handle on a stack, a forgotten box, and a cycle of two.
///
/// ```text
/// static app::CACHE -> HashMap<u64, Rc<Node>> -> 2 Rc<Node> -> String each
/// the stack of main in app::run -> Vec<u64>
/// nothing -> Box<Config> -> String
/// Rc<Parent> -> Vec<Rc<Child>> -> Rc<Child> -> Rc<Parent>
/// ```
pub fn sample() -> Builder {
    let mut graph = Builder::default();
    let table = graph.callsite("HashMap<u64, Rc<Node>>", "app::fill", "src/cache.rs", 41);
    let node = graph.callsite("Rc<Node>", "app::node", "src/cache.rs", 52);
    let name = graph.callsite("String", "app::node", "src/cache.rs", 53);
    let numbers = graph.callsite("Vec<u64>", "app::run", "src/main.rs", 7);
    let config = graph.callsite("Box<Config>", "app::config", "src/config.rs", 12);
    let parent = graph.callsite("Rc<Parent>", "app::family", "src/family.rs", 20);
    let children = graph.callsite("Vec<Rc<Child>>", "app::family", "src/family.rs", 21);
    let child = graph.callsite("Rc<Child>", "app::family", "src/family.rs", 22);

    // A table of four places of 16 bytes, and the control bytes after them.
    let cache = graph.block(table, 4 * 16 + 4 + 16);
    graph.root_into(1, 0, 0x40_1000, cache, 64);
    for at in 0..2 {
        let entry = graph.block(node, 64);
        graph.counts(entry, 1, 1);
        graph.edge(cache, 2 * at + 1, entry);
        let text = graph.block(name, 100);
        graph.edge(entry, 3, text);
        graph.hash(text, 99);
    }
    let list = graph.block(numbers, 800);
    let main = graph.thread("main", &[(0x40_2001, 0x100), (0x40_3001, 0x200)]);
    graph.root(3, main, graph.stack(main) + 0x180, list);
    let forgotten = graph.block(config, 40);
    let text = graph.block(name, 30);
    graph.edge(forgotten, 1, text);

    let parent = graph.block(parent, 48);
    let children = graph.block(children, 32);
    let child = graph.block(child, 40);
    graph.vector(parent, 3, children, 4, 1);
    graph.edge(children, 0, child);
    graph.edge(child, 2, parent);
    graph.counts(parent, 1, 1);
    graph.counts(child, 1, 1);
    graph
}
