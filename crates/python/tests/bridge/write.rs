//! The `write` callable: bytes that leave before the application returns.

use std::sync::Arc;

use ferricorn_protocol::Answer;

use crate::support::{Client, Site, collect, get};

const WRITER: &str = "
import sys
def app(environ, start_response):
    write = start_response('200 OK', [('X-Early', '1')])
    write(b'')
    if environ['QUERY_STRING'] == 'replace':
        try: 1 / 0
        except ZeroDivisionError: write = start_response('500 Late', [], sys.exc_info())
    write(b'one ')
    write(b'two ')
    if environ['QUERY_STRING'] == 'fail':
        try: 1 / 0
        except ZeroDivisionError: start_response('500 Late', [], sys.exc_info())
    if environ['QUERY_STRING'] == 'text':
        write('text')
    return [b'three']
";

fn write(query: &str, client: &Arc<Client>) -> Answer {
    let mut request = get(&format!("/?{query}"));
    request.early = Some(client.clone());
    Site::new(WRITER).answer(request)
}

#[test]
fn what_is_written_leaves_first_and_the_returned_body_follows() {
    let client = Arc::new(Client::default());
    let Answer::Begun(rest) = write("", &client) else { panic!("the head was not sent early") };
    assert_eq!(client.head.lock().unwrap().as_ref().unwrap().headers["x-early"], "1");
    assert_eq!(*client.body.lock().unwrap(), b"one two ");
    assert_eq!(collect(rest), b"three");
}

#[test]
fn until_the_first_byte_is_written_the_head_can_be_replaced() {
    let client = Arc::new(Client::default());
    assert!(matches!(write("replace", &client), Answer::Begun(_)));
    assert_eq!(client.head.lock().unwrap().as_ref().unwrap().status, 500);
}

#[test]
fn once_bytes_are_written_exc_info_is_raised_again() {
    let client = Arc::new(Client::default());
    let Answer::Fault(fault) = write("fail", &client) else {
        panic!("the head was replaced after it was sent")
    };
    assert_eq!(fault.message, "ZeroDivisionError: division by zero");
    assert!(fault.traceback.unwrap().contains("line 12, in app"), "the traceback shows where the error was");
    assert_eq!(client.head.lock().unwrap().as_ref().unwrap().status, 200);
}

#[test]
fn a_client_that_left_is_a_broken_pipe() {
    let client = Arc::new(Client::default());
    *client.patience.lock().unwrap() = Some(1);
    let Answer::Fault(fault) = write("", &client) else { panic!("the client took everything") };
    assert_eq!(fault.message, "BrokenPipeError: the client closed the connection");
    assert_eq!(*client.body.lock().unwrap(), b"one ");
}

#[test]
fn only_bytes_are_written() {
    let Answer::Fault(fault) = write("text", &Arc::default()) else { panic!("a str was written") };
    assert_eq!(fault.message, "TypeError: the body of a WSGI response must be bytes, not str");
}
