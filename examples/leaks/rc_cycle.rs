//! A cycle of `Rc`: a session holds its connection, which holds the session.
//!
//!     cargo run --release --example leak_rc_cycle -- leaking 1.pb.gz 2.pb.gz 3.pb.gz
//!     alloc-report suspects 1.pb.gz 2.pb.gz 3.pb.gz

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use alloc_core::{Error, TraceAlloc};

mod steps;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

struct Session {
    requests: [usize; 64],
    connection: RefCell<Option<Connection>>,
}

enum Connection {
    /// The session lives as long as its connection, which is its own.
    Owner(Rc<Session>),
    Visitor(Weak<Session>),
}

impl Connection {
    fn is_open(&self) -> bool {
        match self {
            Connection::Owner(session) => session.requests[0] > 0,
            Connection::Visitor(session) => session.upgrade().is_some(),
        }
    }
}

fn serve(request: usize, is_mended: bool) -> bool {
    let session = Session {
        requests: [request; 64],
        connection: RefCell::default(),
    };
    let session = Rc::new(session); // mark: leak
    let connection = match is_mended {
        false => Connection::Owner(session.clone()),
        true => Connection::Visitor(Rc::downgrade(&session)),
    };
    let is_open = connection.is_open();
    *session.connection.borrow_mut() = Some(connection);
    is_open
}

fn main() -> Result<(), Error> {
    let steps = steps::Steps::begin()?;
    let mut open = 0;
    steps.run(|request| open += usize::from(serve(request, steps.is_mended)))?;
    println!("{open} sessions served");
    Ok(())
}
