//! Deadlines of requests, on threads other than the main one: how a call is interrupted, and what must not be hit.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use ferricorn_protocol::{Answer, App, AppFault, Deadline, Request};

use crate::support::{Site, get, pieces};

/// A deadline that is over when the test says so.
struct Given {
    number: u64,
    over: AtomicBool,
}

impl Deadline for Given {
    fn number(&self) -> u64 {
        self.number
    }

    fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    fn extend(&self, time: Duration) -> Duration {
        time + Duration::from_secs(1)
    }
}

fn request(target: &str, number: u64) -> (Request, Arc<Given>) {
    let mut request = get(target);
    let deadline = Arc::new(Given { number, over: AtomicBool::new(false) });
    request.deadline = Some(deadline.clone());
    (request, deadline)
}

fn fault(answer: Answer) -> AppFault {
    match answer {
        Answer::Fault(fault) => fault,
        _ => panic!("the application did not fail"),
    }
}

impl Site {
    /// Interrupts what is done for a request as soon as something is, and gives the stack.
    fn interrupt(&self, number: u64) -> Option<String> {
        while !self.app.is_held_by(number) {
            thread::sleep(Duration::from_millis(1));
        }
        let (tell, told) = mpsc::channel();
        self.app.interrupt(number, Box::new(move |stack| tell.send(stack).unwrap()));
        told.recv_timeout(Duration::from_secs(10)).unwrap()
    }
}

const APP: &str = "
import os
calls = []
ours, theirs = os.pipe()

def spin():
    while True:
        pass

def app(environ, start_response):
    global extend
    path = environ['PATH_INFO']
    calls.append(path)
    start_response('200 OK', [])
    if path == '/spin':
        spin()
    if path == '/read':
        return map(os.read, [ours] * 3, [1] * 3)
    extend = environ.get('ferricorn.extend_deadline')
    return [b'served']

def refused(seconds):
    try:
        extend(seconds)
    except ValueError:
        return True
";

#[test]
fn a_call_gets_an_exception_that_is_no_error_and_the_log_its_stack() {
    let site = Site::new(APP);
    let (request, _) = request("/spin", 7);
    let (answer, stack) = thread::scope(|scope| {
        let stack = scope.spawn(|| site.interrupt(7));
        (site.answer(request), stack.join().unwrap())
    });
    assert_eq!(fault(answer).message, "RequestTimeout");
    let stack = stack.unwrap();
    assert!(stack.contains("in app\n") && stack.contains("in spin\n"), "{stack}");
    assert!(!site.app.is_held_by(7));
    assert_eq!(site.get().head.status, 200);
}

#[test]
fn an_interruption_that_comes_too_late_hits_nobody() {
    let site = Site::new(&format!("{APP}\nos.write(theirs, b'1')"));
    let (request, _) = request("/read", 8);
    let Answer::Response(response) = site.answer(request) else { panic!("no response") };
    let (first, mut rest) = pieces(response.body);
    assert_eq!(first, "1");
    // The second piece is waited for in C, which goes back to the server without a step of Python's.
    let piece = thread::scope(|scope| {
        scope.spawn(|| {
            site.interrupt(8);
            // The exception is set by the thread that told the stack, right after that.
            thread::sleep(Duration::from_millis(200));
            site.eval("os.write(theirs, b'2')");
        });
        rest.next().unwrap()
    });
    assert_eq!(piece.unwrap(), "2");
    assert_eq!(site.get().head.status, 200);
    rest.close().unwrap();
}

#[test]
fn nothing_is_begun_once_the_time_is_over() {
    let site = Site::new(&format!("{APP}\nos.write(theirs, b'1')"));
    let (late, deadline) = request("/late", 9);
    deadline.over.store(true, SeqCst);
    assert!(fault(site.answer(late)).told);
    assert_eq!(site.eval("calls"), "[]");
    let (read, deadline) = request("/read", 10);
    let Answer::Response(response) = site.answer(read) else { panic!("no response") };
    let (_, mut rest) = pieces(response.body);
    deadline.over.store(true, SeqCst);
    assert!(rest.next().unwrap_err().told);
    rest.close().unwrap();
}

#[test]
fn an_interruption_of_what_is_not_begun_is_told_without_a_stack() {
    let site = Site::new(APP);
    let (tell, told) = mpsc::channel();
    site.app.interrupt(11, Box::new(move |stack| tell.send(stack).unwrap()));
    assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(None));
}

#[test]
fn the_app_puts_its_deadline_off_by_seconds() {
    let site = Site::new(APP);
    site.respond(request("/", 12).0);
    assert_eq!(site.eval("extend(2.5)"), "3.5");
    assert_eq!(site.eval("extend(0)"), "1.0");
    for wrong in ["-1", "float('nan')", "float('inf')", "1e9"] {
        assert_eq!(site.eval(&format!("refused({wrong})")), "True", "{wrong}");
    }
    site.get();
    assert_eq!(site.eval("extend"), "None");
}
