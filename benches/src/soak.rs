//! A service that runs for long, its clients, and what is watched of it meanwhile.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::machine;

/// The pages that the service keeps, the oldest of which it evicts.
const KEPT: usize = 2_000;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The `main` of a service: a thread for each connection parses a line of JSON, an order, and answers with a page, of which
/// it keeps the last 2,000. It prints its address, and that of its profiles if it serves them.
///
/// # Errors
///
/// If it cannot listen on a loopback address.
pub fn serve_orders(profiles: Option<SocketAddr>) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    match profiles {
        Some(profiles) => println!("{} {profiles}", listener.local_addr()?),
        None => println!("{}", listener.local_addr()?),
    }
    io::stdout().flush()?;
    let pages = Arc::new(Mutex::new(VecDeque::with_capacity(KEPT + 1)));
    for stream in listener.incoming() {
        let (stream, pages) = (stream?, Arc::clone(&pages));
        // NOTE: a client that is gone ends its thread, and not the service.
        thread::spawn(move || answer(&stream, &pages));
    }
    Ok(())
}

fn answer(stream: &TcpStream, pages: &Mutex<VecDeque<String>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next().transpose()? {
        let order: Value = serde_json::from_str(&line)?;
        let page = page_of(&order);
        (&*stream).write_all(format!("{page}\n").as_bytes())?;
        let mut pages = pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.push_back(page);
        if pages.len() > KEPT {
            pages.pop_front();
        }
    }
    Ok(())
}

fn page_of(order: &Value) -> String {
    let mut page = format!("<h1>Order of {}</h1>", order["customer"]);
    let mut sum = 0.0;
    for item in order["items"].as_array().into_iter().flatten() {
        let price = item["price"].as_f64().unwrap_or_default();
        let name = item["name"].as_str().unwrap_or_default().to_uppercase();
        sum += price;
        let _ = write!(page, "<li>{name}: {price:.2}</li>");
    }
    let _ = write!(page, "<p>{sum:.2}</p>");
    page
}

/// A running service.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Where it takes orders.
    pub address: SocketAddr,
    /// Where it serves profiles.
    pub profiles: Option<SocketAddr>,
}

impl Service {
    /// Starts a program that calls [`serve_orders`].
    ///
    /// # Errors
    ///
    /// If it does not start, or does not print its addresses.
    pub fn start(program: &str, environment: &[(&str, &str)]) -> Result<Service, Box<dyn Error>> {
        let mut child = Command::new(program)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("expected a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let addresses: Result<Vec<SocketAddr>, _> =
            line.split_whitespace().map(str::parse).collect();
        let addresses = addresses.map_err(|_| format!("expected addresses, found {line:?}"))?;
        Ok(Service {
            child,
            address: *addresses.first().ok_or("expected an address, found none")?,
            profiles: addresses.get(1).copied(),
        })
    }

    /// What the kernel knows of the service.
    ///
    /// # Errors
    ///
    /// If the service has ended.
    pub fn observe(&self) -> io::Result<Observation> {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let status = fs::read_to_string(process.join("status"))?;
        let field = |name| machine::status_number(&status, name).unwrap_or_default();
        Ok(Observation {
            anonymous: field("RssAnon:") << 10,
            threads: field("Threads:"),
            descriptors: fs::read_dir(process.join("fd"))?.count() as u64,
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a service has at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Resident memory that is of no file, in bytes.
    pub anonymous: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub descriptors: u64,
}

/// A client that sends orders.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If the service does not accept.
    pub fn new(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client {
            stream: BufReader::new(stream),
            line: String::new(),
        })
    }

    /// Sends an order and reads the page.
    ///
    /// # Errors
    ///
    /// If the service does not answer.
    pub fn order(&mut self, order: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(order.as_bytes())?;
        self.line.clear();
        match self.stream.read_line(&mut self.line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The order of a number: from 5 to 44 items, in a line.
pub fn order(number: u64) -> String {
    let item = |at: u64| json!({ "name": format!("item {}", number * 31 + at), "price": at });
    let items = Vec::from_iter((0..5 + number % 40).map(item));
    format!("{}\n", json!({ "customer": number, "items": items }))
}

/// The variable that says where a service pushes profiles to.
pub const RECEIVER: &str = "SOAK_RECEIVER";

/// Starts a receiver of pushed profiles, which refuses a third of them for now. Returns its URL, and a count of those that it
/// accepted.
///
/// # Errors
///
/// If it cannot listen on a loopback address.
pub fn receive() -> io::Result<(String, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let accepted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&accepted);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let is_accepted = number % 3 < 2;
            // NOTE: the service is gone at the end.
            let answered = answer_push(&stream, is_accepted);
            if is_accepted && answered.is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    Ok((url, accepted))
}

fn answer_push(stream: &TcpStream, is_accepted: bool) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim().is_empty() {
            break;
        }
        let header = line.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    io::copy(&mut reader.take(length), &mut io::sink())?;
    let status = if is_accepted { "200 OK" } else { "503 Not now" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    (&*stream).write_all(answer.as_bytes())
}

/// Asks for a path over HTTP, and returns the status and the body.
///
/// # Errors
///
/// If there is no answer.
pub fn get(address: SocketAddr, path: &str) -> io::Result<(u32, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let body = answer.split_off(end.map_or(answer.len(), |at| at + 4));
    let head = String::from_utf8_lossy(&answer);
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    Ok((status.unwrap_or_default(), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_becomes_a_page() {
        let order: Value = serde_json::from_str(&order(3)).unwrap();
        let page = page_of(&order);
        assert!(
            page.starts_with("<h1>Order of 3</h1><li>ITEM 93: 0.00</li><li>ITEM 94: 1.00</li>")
        );
        assert!(page.ends_with("<p>28.00</p>"), "{page}");
    }
}
