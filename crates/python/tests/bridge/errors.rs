//! `wsgi.errors` leads to the error log.

use crate::support::Site;

#[test]
fn what_an_app_writes_arrives_whole_and_at_once() {
    let site = Site::new(
        "
def app(environ, start_response):
    errors = environ['wsgi.errors']
    assert errors.write('M\\xfcller \\ud800\\n') == 9
    errors.writelines(['a\\n', 'b\\n'])
    print('printed', file=errors, flush=True)
    start_response('200 OK', [])
    return []
",
    );
    site.get();
    let written = String::from_utf8(site.errors.lock().unwrap().clone()).unwrap();
    assert_eq!(written, "Müller \\ud800\na\nb\nprinted\n");
}
