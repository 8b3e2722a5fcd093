"""URLs that carry their signature: for whoever has them, for a while."""

import time
import urllib.error
import urllib.request

from kit import client, same

s3 = client(signature_version="s3v4")
s3.create_bucket(Bucket="signed")


def sent(url, method="GET", body=None, headers=None):
    """Status and body of the answer."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def signed(what, seconds=60, **params):
    """A URL for one call."""
    return s3.generate_presigned_url(what, Params={"Bucket": "signed", **params}, ExpiresIn=seconds)


put = signed("put_object", Key="a b+c/é.txt", ContentType="text/plain")
same(sent(put, "PUT", b"by url", {"Content-Type": "text/plain"})[0], 200)
get = signed("get_object", Key="a b+c/é.txt")
same(sent(get), (200, b"by url"))
same(sent(signed("get_object", Key="a b+c/é.txt", ResponseContentType="image/png"))[0], 200)

# It is for this call, this object, and this content.
same(sent(get, "DELETE")[0], 403)
same(sent(get.replace("%C3%A9.txt", "other.txt"))[0], 403)
same(sent(get[:-1] + ("0" if get[-1] != "0" else "1"))[0], 403)
same(sent(put, "PUT", b"x", {"Content-Type": "text/html"})[0], 403)
same(sent(get.split("?")[0])[0], 403)

# And for its time.
soon = signed("get_object", seconds=1, Key="a b+c/é.txt")
end = time.monotonic() + 20
while (answer := sent(soon))[0] == 200:
    assert time.monotonic() < end, "a URL for one second still opens"
    time.sleep(0.1)
same(answer[0], 403)
